package sidecar

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestTokenLedger: a month's tokens never exceed its limit, whoever asks at once,
// and are counted over restarts.
func TestTokenLedger(t *testing.T) {
	dir := t.TempDir()
	ledger := &tokenLedger{dir: dir}
	var granted sync.Map
	var asking sync.WaitGroup
	for n := range 20 {
		asking.Go(func() {
			ok, err := ledger.Reserve(t.Context(), "2026-11", 100, 1000)
			if err != nil {
				t.Error(err)
			}
			if ok {
				granted.Store(n, true)
			}
		})
	}
	asking.Wait()
	count := 0
	granted.Range(func(any, any) bool { count++; return true })
	if count != 10 {
		t.Errorf("%d times 100 of 1000 tokens were granted", count)
	}
	if err := ledger.Settle(t.Context(), "2026-11", -150); err != nil {
		t.Fatal(err)
	}
	again := &tokenLedger{dir: dir}
	for tokens, want := range map[int64]bool{151: false, -1: false} {
		if ok, err := again.Reserve(t.Context(), "2026-11", tokens, 1000); ok != want || err != nil {
			t.Errorf("%d tokens: %t, %v", tokens, ok, err)
		}
	}
	if ok, err := again.Reserve(t.Context(), "2026-12", 1000, 1000); !ok || err != nil {
		t.Errorf("another month: %t, %v", ok, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "model-tokens.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if ok, err := again.Reserve(t.Context(), "2026-11", 1, 1000); ok || err == nil {
		t.Error("a file that cannot be read grants tokens")
	}
}
