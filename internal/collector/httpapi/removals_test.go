package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
)

// prune removes all records of a chain of acme's.
func (w *world) prune(c *chains.Chain) {
	w.t.Helper()
	if err := w.sequencer.Await(w.t.Context(), "acme", c.ID, int64(len(c.Lines))); err != nil {
		w.t.Fatal(err)
	}
	p := store.Prune{Chain: c.ID, Before: time.Now().AddDate(1, 0, 0), Months: 13, At: w.now}
	if gone, err := cluster.Owner(w.t, w.store).Prune(w.t.Context(), "acme", p); err != nil || gone.Records != int64(len(c.Lines)) {
		w.t.Fatalf("removed %+v, %v", gone, err)
	}
}

// What was removed is accounted for, and what is said of it is what its schema says.
func TestRemovals(t *testing.T) { onEach(t, testRemovals) }

func testRemovals(t *testing.T, w *world) {
	_, schemas := readDocument(t)
	kept, gone := w.chain("a.example"), w.chain("b.example")
	if err := cluster.Owner(t, w.store).SetRetention(t.Context(), "acme", 13); err != nil {
		t.Fatal(err)
	}
	wantSchema(t, schemas, "#/components/schemas/Removals", w.body("/v1/removals"))
	w.prune(gone)
	body := w.body("/v1/removals")
	wantSchema(t, schemas, "#/components/schemas/Removals", body)
	if want := fmt.Sprintf(`"retention_months":13,"records":%d,`, len(gone.Lines)); !strings.Contains(string(body), want) {
		t.Errorf("the account is %s, want %s", body, want)
	}
	for path, schema := range map[string]string{
		"/v1/chains/" + gone.ID: "ChainWithKeys", "/v1/chains": "Chains", "/v1/chains/" + gone.ID + "/records": "Records",
		"/v1/log/entries": "Entries", "/v1/log/inclusion?seq=2&chain=" + gone.ID: "Proof",
	} {
		body := w.body(path)
		wantSchema(t, schemas, "#/components/schemas/"+schema, body)
		if path != "/v1/log/entries" && !strings.Contains(path, "inclusion") && !strings.Contains(string(body), fmt.Sprintf(`"removed_seq":%d`, len(gone.Lines))) {
			t.Errorf("GET %s does not say what was removed: %s", path, body)
		}
	}

	id := gone.ReceiptAt(2).ReceiptID
	for _, path := range []string{"/v1/receipts/" + id, "/v1/log/inclusion?receipt=" + id} {
		if p := w.wantProblem(path, acme, http.StatusGone); !strings.Contains(p.Detail, "were removed") {
			t.Errorf("GET %s: %s", path, p.Detail)
		}
		w.wantProblem(path, other, http.StatusNotFound)
	}
	w.get("/v1/receipts/"+kept.ReceiptAt(2).ReceiptID, new(any))
	w.wantProblem("/v1/receipts/00000000-0000-4000-8000-000000000000", acme, http.StatusNotFound) // it says of no time
	w.wantProblem(fmt.Sprintf("/v1/log/inclusion?chain=%s&seq=%d", gone.ID, len(gone.Lines)+1), acme, http.StatusNotFound)
	w.wantProblem("/v1/log/inclusion?seq=1&chain="+chains.UUID(), acme, http.StatusNotFound)

	// The whole period is not there, and a chain of it is.
	period := `{"from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z"`
	for request, want := range map[string]int{
		period + `}`: http.StatusGone, period + `, "chain": "` + gone.ID + `"}`: http.StatusGone, period + `, "chain": "` + kept.ID + `"}`: http.StatusOK,
		`{"from": "2026-11-24T00:00:00Z", "to": "2026-11-25T00:00:00Z"}`: http.StatusNotFound,
	} {
		if resp, body := w.do(http.MethodPost, "/v1/exports", acme, strings.NewReader(request)); resp.StatusCode != want {
			t.Errorf("an export of %s: %s %.300s; want %d", request, resp.Status, body, want)
		}
	}
}

// body is a 200 of acme's.
func (w *world) body(path string) []byte {
	w.t.Helper()
	resp, body := w.do(http.MethodGet, path, acme, nil)
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("GET %s: %s %s", path, resp.Status, body)
	}
	return body
}
