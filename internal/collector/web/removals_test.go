package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Pages say what was removed where one would look for it.
func TestPagesTellOfRemovedRecords(t *testing.T) { onEach(t, testPagesTellOfRemovedRecords) }

func testPagesTellOfRemovedRecords(t *testing.T, s *site) {
	c := s.traffic("acme")
	owner := cluster.Owner(t, s.store)
	if err := owner.SetRetention(t.Context(), "acme", 1); err != nil {
		t.Fatal(err)
	}
	v := s.visitor(t)
	v.login("acme-token")
	shown := func(path, want string, status int) {
		t.Helper()
		if resp, body := v.get(path); resp.StatusCode != status || !strings.Contains(body, want) {
			t.Errorf("GET %s: %s, want %d with %q:\n%s", path, resp.Status, status, want, body)
		}
	}
	shown("/usage", "kept for 1 whole month beside", http.StatusOK)
	if _, body := v.get("/receipts"); strings.Contains(body, "were removed") {
		t.Error("receipts are said to be removed that are there")
	}
	p := store.Prune{Chain: c.ID, Before: s.now.AddDate(10, 0, 0), Months: 1, At: s.now, Limit: 10}
	if gone, err := owner.Prune(t.Context(), "acme", p); err != nil || gone.Last != 10 {
		t.Fatalf("removed %+v, %v", gone, err)
	}
	shown("/receipts", "were removed", http.StatusOK)
	shown("/usage", "were removed", http.StatusOK)
	shown("/chains/"+c.ID, "records up to seq 10", http.StatusOK)
	shown("/chains/"+c.ID+"?from=1", ">11</td>", http.StatusOK)
	shown("/receipts/"+c.ReceiptAt(2).ReceiptID, "with them this receipt", http.StatusGone)
	shown("/receipts/"+c.ReceiptAt(11).ReceiptID, "verified up to the signed root", http.StatusOK)
	form := url.Values{"from": {"2026-11-23T00:00"}, "to": {"2026-11-24T00:00"}, "profile": {"core"}}
	if resp, body := v.post("/export", form); resp.StatusCode != http.StatusGone || !strings.Contains(body, "Export from") {
		t.Errorf("an export of what is partly gone: %s %s", resp.Status, body)
	}
}
