package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/signet-egress/signet/internal/payload"
	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/proxy"
	"github.com/signet-egress/signet/repair"
	"github.com/signet-egress/signet/repair/openai"
	"github.com/signet-egress/signet/resolver"
)

// keyVariable is where the API key is looked for without a file, by the name that
// users of the protocol know.
const keyVariable = "OPENAI_API_KEY"

// openModel makes the model that malformed bodies may be repaired by, over pinned
// and receipted egress of Signet's own. Without an endpoint there is none.
func (s *Sidecar) openModel() error {
	m := s.config.Model
	if m.URL == "" {
		return nil
	}
	target, err := policy.ParseAbsolute(m.URL)
	if err != nil {
		return fmt.Errorf("model.url: %w", err)
	}
	key := os.Getenv(keyVariable)
	if m.KeyFile != "" {
		text, err := os.ReadFile(m.KeyFile)
		if err != nil {
			return fmt.Errorf("model.key_file: %w", err)
		}
		key = strings.TrimSpace(string(text))
	}
	guard, err := s.guardFor(m.Addresses)
	if err != nil {
		return err
	}
	client, err := openai.New(openai.Config{
		BaseURL: m.URL, APIKey: key, Model: m.Name, MonthlyTokens: int64(m.MonthlyTokens),
		HTTP:   &http.Client{Transport: &proxy.Own{Proxy: s.proxy, Purpose: "model", Target: target, Guard: func() *resolver.Guard { return guard }}},
		Ledger: &tokenLedger{dir: s.config.Data},
	})
	if err != nil {
		return err
	}
	s.inspector.Model = model{client, m.Name}
	return nil
}

// model is the client as payloads see it.
type model struct {
	client *openai.Client
	name   string
}

// Name implements payload.Model.
func (m model) Name() string { return m.name }

// Repair implements payload.Model.
func (m model) Repair(ctx context.Context, text []byte) (*repair.Result, int64, error) {
	answer, err := m.client.Repair(ctx, text)
	var quota *openai.QuotaError
	if errors.As(err, &quota) {
		err = fmt.Errorf("%w: %w", payload.ErrQuota, err)
	}
	return answer.Result, answer.Tokens, err
}
