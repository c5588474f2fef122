package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

type receiptList struct {
	Receipts []json.RawMessage `json:"receipts"`
	Next     string            `json:"next"`
}

// Every page is asked for, and every receipt comes once, the newest first and
// byte for byte as it was signed.
func TestReceiptsPageByPage(t *testing.T) { onEach(t, testReceiptsPageByPage) }

func testReceiptsPageByPage(t *testing.T, w *world) {
	c := w.chain("a.example", "b.example", "c.example")
	var got []string
	for cursor := ""; ; {
		var page receiptList
		w.get("/v1/receipts?limit=2&cursor="+cursor, &page)
		for _, line := range page.Receipts {
			got = append(got, string(line))
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	var want []string
	for i := len(c.Lines) - 1; i > 0; i-- {
		want = append(want, string(c.Lines[i]))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestReceiptsAreFound(t *testing.T) { onEach(t, testReceiptsAreFound) }

func testReceiptsAreFound(t *testing.T, w *world) {
	c := w.chain("a.example", "b.example")
	for query, want := range map[string]int{
		"":                                     4,
		"host=a.example":                       2,
		"host=c.example":                       0,
		"agent=billing":                        4,
		"agent=other":                          0,
		"outcome=denied":                       2,
		"outcome=denied&host=a.example":        1,
		"reason=HEL_PATH_NOT_ALLOWED":          2,
		"trace=trace-b.example":                2,
		"chain=" + c.ID:                        4,
		"from=2026-11-23T03:04:05.030Z":        2,
		"to=2026-11-23T03:04:05.030Z":          2,
		"from=2026-11-24":                      0,
		"from=2026-11-23T05:04:05%2B02:00":     4,
		"chain=00000000-0000-7000-8000-000000": 0,
	} {
		var page receiptList
		w.get("/v1/receipts?"+query, &page)
		if len(page.Receipts) != want {
			t.Errorf("%q finds %d receipts, want %d", query, len(page.Receipts), want)
		}
	}
}

func TestUsage(t *testing.T) { onEach(t, testUsage) }

func testUsage(t *testing.T, w *world) {
	size := 0
	for _, line := range w.chain("a.example", "b.example").Lines {
		size += len(line)
	}
	if err := w.store.SetQuota(t.Context(), "acme", 1<<20); err != nil {
		t.Fatal(err)
	}
	var u struct {
		Stored   struct{ Bytes, Quota int }
		Total    struct{ Exchanges, VEX int64 }
		Outcomes map[string]struct{ Exchanges int64 }
		Denials  map[string]int64
	}
	w.get("/v1/usage", &u)
	if u.Total.Exchanges != 4 || u.Total.VEX != 2 || u.Outcomes["denied"].Exchanges != 2 || u.Denials["HEL_PATH_NOT_ALLOWED"] != 2 {
		t.Errorf("got %+v", u)
	}
	if u.Stored.Bytes != size || u.Stored.Quota != 1<<20 {
		t.Errorf("got %+v, want %d bytes", u.Stored, size)
	}
	w.get("/v1/usage?from=2026-11-22&to=2026-11-23", &u)
	w.wantProblem("/v1/usage?from=2020-01-01", acme, http.StatusBadRequest)
}
