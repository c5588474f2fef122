package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

func TestWhoMayAsk(t *testing.T) { onEach(t, testWhoMayAsk) }

func testWhoMayAsk(t *testing.T, w *world) {
	w.tenant("acme", "reader", store.ScopeReceiptsRead)
	w.tenant("acme", "exporter", store.ScopeExport)
	w.token("acme", "expired", began.Add(-time.Second), store.Scopes()...)
	revoked := w.token("acme", "revoked", time.Time{}, store.Scopes()...)
	if err := w.store.RevokeToken(t.Context(), "acme", revoked, w.now); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		token  string
		status int
	}{
		"no token":       {"", http.StatusUnauthorized},
		"unknown":        {"nobody", http.StatusUnauthorized},
		"too long":       {strings.Repeat("x", 600), http.StatusUnauthorized},
		"expired":        {"expired", http.StatusUnauthorized},
		"revoked":        {"revoked", http.StatusUnauthorized},
		"another scope":  {"exporter", http.StatusForbidden},
		"a token's hash": {fmt.Sprintf("%x", [32]byte{}), http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) { w.wantProblem("/v1/receipts", test.token, test.status) })
	}
	if resp, body := w.do(http.MethodGet, "/v1/receipts", "reader", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("the scope receipts.read: %s %s", resp.Status, body)
	}
	if resp, body := w.do(http.MethodPost, "/v1/exports", "reader", strings.NewReader("{}")); resp.StatusCode != http.StatusForbidden {
		t.Errorf("an export without its scope: %s %s", resp.Status, body)
	}
}

func TestTokensHaveABudget(t *testing.T) { onEach(t, testTokensHaveABudget) }

func testTokensHaveABudget(t *testing.T, w *world) {
	w.serve(3)
	for range 3 {
		w.get("/v1/chains", new(any))
	}
	resp, body := w.do(http.MethodGet, "/v1/chains", acme, nil)
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("the fourth request of a second: %s, Retry-After %q, %s", resp.Status, resp.Header.Get("Retry-After"), body)
	}
	if resp, _ := w.do(http.MethodGet, "/v1/chains", other, nil); resp.StatusCode != http.StatusOK {
		t.Errorf("another token's first: %s", resp.Status)
	}
	w.now = w.now.Add(time.Second)
	w.get("/v1/chains", new(any))
}

// Who has no valid token is told so for a while; nobody else is shut out.
func TestFailuresHaveABudget(t *testing.T) { onEach(t, testFailuresHaveABudget) }

func testFailuresHaveABudget(t *testing.T, w *world) {
	for range 30 {
		w.wantProblem("/v1/chains", "guess", http.StatusUnauthorized)
	}
	w.wantProblem("/v1/chains", "guess", http.StatusTooManyRequests)
	w.get("/v1/chains", new(any))
	w.now = w.now.Add(time.Second)
	w.wantProblem("/v1/chains", "guess", http.StatusUnauthorized)
}
