package proxy_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// Of many denials in one second the first 50 have receipts of their own, and one
// receipt counts the rest; each answer names a receipt that exists.
func TestDenialsCoalesce(t *testing.T) {
	clock := time.Date(2026, 11, 23, 3, 4, 5, 0, time.UTC) // stands still
	b := start(t, options{policy: anything, now: func() time.Time { return clock }})
	client := b.client(false)
	answers := make(map[string]int)
	const n = 200
	for i := range n {
		url := fmt.Sprintf("http://unlisted.test/%d", i)
		if i%2 == 1 {
			url = b.plain.URL("up.test", "") // listed, but not for http
		}
		resp, err := client.Get(url)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != http.StatusForbidden {
			t.Fatal(resp.Status)
		}
		answers[resp.Header.Get("X-Signet-Receipt")]++
	}
	var total int64
	counts := make(map[string]int64)
	for _, r := range b.receipts() {
		total += r.Count
		if answers[r.ReceiptID] != int(r.Count) {
			t.Errorf("receipt %s counts %d; %d answers name it", r.ReceiptID, r.Count, answers[r.ReceiptID])
		}
		if r.Count > 1 {
			counts[r.Policy.Reason] += r.Count
		}
	}
	if total != n || counts["HEL_HOST_NOT_ALLOWED"] != 75 || counts["HEL_SCHEME_NOT_ALLOWED"] != 75 {
		t.Errorf("%d denials on record, coalesced %v", total, counts)
	}
}
