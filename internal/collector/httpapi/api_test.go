package httpapi_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/bundle"
)

type receiptList struct {
	Receipts []json.RawMessage `json:"receipts"`
	Next     string            `json:"next"`
}

// Every page is asked for, and every receipt comes once, the newest first and
// byte for byte as it was signed.
func TestReceiptsPageByPage(t *testing.T) {
	w := newWorld(t)
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

func TestReceiptsAreFound(t *testing.T) {
	w := newWorld(t)
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

func TestTenantsSeeTheirOwnAlone(t *testing.T) {
	w := newWorld(t)
	c := w.chain("a.example")
	receipt, err := receipts.Decode(c.Lines[1])
	if err != nil {
		t.Fatal(err)
	}
	id := receipt.(*receipts.Receipt).ReceiptID
	for _, path := range []string{
		"/v1/receipts/" + id, "/v1/chains/" + c.ID, "/v1/chains/" + c.ID + "/records", "/v1/chains/" + c.ID + "/forks",
		"/v1/traces/trace-a.example", "/v1/log/inclusion?receipt=" + id, "/v1/log/checkpoint",
	} {
		w.wantProblem(path, other, http.StatusNotFound)
	}
	for _, path := range []string{"/v1/receipts", "/v1/receipts?chain=" + c.ID, "/v1/chains", "/v1/usage", "/v1/alarms", "/v1/log/entries"} {
		resp, body := w.do(http.MethodGet, path, other, nil)
		if resp.StatusCode != http.StatusOK || bytes.Contains(body, []byte(c.ID)) || bytes.Contains(body, []byte(`"denied"`)) {
			t.Errorf("GET %s for another tenant: %s %s", path, resp.Status, body)
		}
	}
}

func TestCursorsCannotBeMadeUp(t *testing.T) {
	w := newWorld(t)
	w.chain("a.example", "b.example")
	var page receiptList
	w.get("/v1/receipts?limit=1&host=a.example", &page)
	next := page.Next
	if next == "" {
		t.Fatal("there is no next page")
	}
	tampered := []byte(next)
	tampered[3] ^= 1
	for name, path := range map[string]string{
		"tampered":      "/v1/receipts?host=a.example&cursor=" + string(tampered),
		"cut":           "/v1/receipts?host=a.example&cursor=" + next[:len(next)-2],
		"another query": "/v1/receipts?cursor=" + next,
		"not base64":    "/v1/receipts?host=a.example&cursor=%00%27",
		"empty places":  "/v1/receipts?host=a.example&cursor=AAAA",
	} {
		t.Run(name, func(t *testing.T) {
			if p := w.wantProblem(path, acme, http.StatusBadRequest); p.Parameter != "cursor" {
				t.Errorf("parameter %q, want cursor", p.Parameter)
			}
		})
	}
	// Another tenant's cursor is none of this one's.
	w.wantProblem("/v1/receipts?host=a.example&cursor="+next, other, http.StatusBadRequest)
}

func TestWhoMayAsk(t *testing.T) {
	w := newWorld(t)
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

func TestTokensHaveABudget(t *testing.T) {
	w := newWorld(t)
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
func TestFailuresHaveABudget(t *testing.T) {
	w := newWorld(t)
	for range 30 {
		w.wantProblem("/v1/chains", "guess", http.StatusUnauthorized)
	}
	w.wantProblem("/v1/chains", "guess", http.StatusTooManyRequests)
	w.get("/v1/chains", new(any))
	w.now = w.now.Add(time.Second)
	w.wantProblem("/v1/chains", "guess", http.StatusUnauthorized)
}

// Every parameter of every endpoint takes what an attacker would send: it is
// answered as nothing found or as refused, and never by a failure.
func TestParametersAreNoSQL(t *testing.T) {
	w := newWorld(t)
	c := w.chain("a.example")
	hostile := []string{
		"' OR '1'='1", "'; DROP TABLE records; --", "\" OR 1=1 --", "1 UNION SELECT 1", "%00", "a\x00b", "\xff\xfe", "$1", "{{1}}",
		"-1", "9223372036854775808", "1e9", strings.Repeat("a", 5000), "..", "%2e%2e%2f", "<script>",
	}
	paths := []string{
		"/v1/receipts?from=", "/v1/receipts?to=", "/v1/receipts?host=", "/v1/receipts?agent=", "/v1/receipts?outcome=", "/v1/receipts?reason=",
		"/v1/receipts?trace=", "/v1/receipts?chain=", "/v1/receipts?limit=", "/v1/receipts?cursor=", "/v1/receipts?nothing=",
		"/v1/chains?agent=", "/v1/chains?after=", "/v1/chains?limit=", "/v1/chains/" + c.ID + "/records?from=", "/v1/chains/" + c.ID + "/records?limit=",
		"/v1/alarms?open=", "/v1/alarms?chain=", "/v1/alarms?after=", "/v1/usage?from=", "/v1/usage?to=", "/v1/usage?agent=",
		"/v1/log/entries?from=", "/v1/log/inclusion?receipt=", "/v1/log/inclusion?seq=1&chain=", "/v1/log/consistency?from=",
		"/v1/receipts/", "/v1/traces/", "/v1/chains/", "/v1/log/tile/",
	}
	for _, path := range paths {
		for _, text := range hostile {
			escape := url.QueryEscape
			if !strings.Contains(path, "?") {
				escape = url.PathEscape
			}
			resp, body := w.do(http.MethodGet, path+escape(text), acme, nil)
			if resp.StatusCode >= http.StatusInternalServerError {
				t.Errorf("GET %s%q: %s %s", path, text, resp.Status, body)
			}
		}
	}
	var page receiptList
	w.get("/v1/receipts", &page)
	if len(page.Receipts) != 2 {
		t.Errorf("there are %d receipts afterwards, want 2", len(page.Receipts))
	}
	if w.log.Len() > 0 {
		t.Errorf("the log has\n%s", &w.log)
	}
}

func TestUsage(t *testing.T) {
	w := newWorld(t)
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

// wantBundle wants a bundle that verifies, with a whole chain.
func wantBundle(t *testing.T, file []byte, c *chains.Chain) {
	t.Helper()
	b, err := bundle.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Verify(nil, func(int) {}); err != nil {
		t.Error(err)
	}
	if m := b.Manifest(); m.Chain != c.ID || m.Tenant != c.Tenant || m.First.Seq != 1 || m.Last.Seq != int64(len(c.Lines)) {
		t.Errorf("the bundle has %+v", m)
	}
}

func TestExports(t *testing.T) {
	w := newWorld(t)
	first := w.chain("a.example")
	second := w.chain("b.example")
	period := `"from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z"`
	resp, body := w.do(http.MethodPost, "/v1/exports", acme, strings.NewReader(`{`+period+`, "chain": "`+first.ID+`"}`))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the export of a chain: %s\n%s", resp.Status, body)
	}
	wantBundle(t, body, first)
	_, body = w.do(http.MethodPost, "/v1/exports", acme, strings.NewReader(`{`+period+`}`))
	z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != 2 {
		t.Errorf("the export of a period holds %d bundles", len(z.File))
	}
	for _, c := range []*chains.Chain{first, second} {
		one, err := fs.ReadFile(z, c.ID+".zip")
		if err != nil {
			t.Fatal(err)
		}
		wantBundle(t, one, c)
	}
	for name, test := range map[string]struct {
		body   string
		status int
	}{
		"no body":           {``, http.StatusBadRequest},
		"no period":         {`{}`, http.StatusBadRequest},
		"unknown member":    {`{` + period + `, "tenant": "other"}`, http.StatusBadRequest},
		"unknown profile":   {`{` + period + `, "profile": "all"}`, http.StatusBadRequest},
		"no such chain":     {`{` + period + `, "chain": "` + chains.UUID() + `"}`, http.StatusNotFound},
		"not a chain":       {`{` + period + `, "chain": "' OR 1=1"}`, http.StatusBadRequest},
		"nothing in period": {`{"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}`, http.StatusNotFound},
		"too large":         {`{` + period + `, "agent": "` + strings.Repeat("a", 5000) + `"}`, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			if resp, body := w.do(http.MethodPost, "/v1/exports", acme, strings.NewReader(test.body)); resp.StatusCode != test.status {
				t.Errorf("%s %s, want %d", resp.Status, body, test.status)
			}
		})
	}
	if resp, body := w.do(http.MethodPost, "/v1/exports", other, strings.NewReader(`{`+period+`, "chain": "`+first.ID+`"}`)); resp.StatusCode != http.StatusNotFound {
		t.Errorf("another tenant's chain: %s %s", resp.Status, body)
	}
}
