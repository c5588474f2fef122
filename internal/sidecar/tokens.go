package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/signet-egress/signet/internal/durable"
)

// tokenLedger keeps how many tokens of the model each month has used, in
// model-tokens.json of the data directory: {"2026-11": 1234}. A question is as
// rare as it is slow, so that each change is a file written anew.
type tokenLedger struct {
	dir string
	mu  sync.Mutex
}

// Reserve implements openai.Ledger.
func (l *tokenLedger) Reserve(_ context.Context, month string, tokens, limit int64) (bool, error) {
	reserved := false
	err := l.change(func(used map[string]int64) bool {
		reserved = tokens >= 0 && used[month] <= limit-tokens
		if reserved {
			used[month] += tokens
		}
		return reserved
	})
	return reserved && err == nil, err
}

// Settle implements openai.Ledger.
func (l *tokenLedger) Settle(_ context.Context, month string, difference int64) error {
	return l.change(func(used map[string]int64) bool {
		used[month] = max(0, used[month]+difference)
		return true
	})
}

// change is durable when it returns; nothing is written where f says that nothing
// has changed.
func (l *tokenLedger) change(f func(used map[string]int64) bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	path := filepath.Join(l.dir, "model-tokens.json")
	used := make(map[string]int64)
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &used)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the model's tokens: %w (remove %s to count this month from nothing)", err, path)
	}
	if !f(used) {
		return nil
	}
	if text, err = json.Marshal(used); err != nil {
		return err
	}
	return durable.WriteFile(path, append(text, '\n'), 0o600)
}
