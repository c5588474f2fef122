package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// hostile is what an attacker would send in a parameter.
func hostile() []string {
	return []string{
		"' OR '1'='1", "'; DROP TABLE records; --", "\" OR 1=1 --", "1 UNION SELECT 1", "%00", "a\x00b", "\xff\xfe", "$1", "{{1}}",
		"-1", "9223372036854775808", "1e9", strings.Repeat("a", 5000), "..", "%2e%2e%2f", "<script>",
	}
}

// targets are where each parameter of each documented endpoint goes, with what
// stands before and behind it.
func targets(t *testing.T, chain string) (all [][2]string) {
	t.Helper()
	d, _ := readDocument(t)
	for path, operations := range d.Paths {
		before, after, inPath := strings.Cut(path, "{id}")
		if !inPath {
			before, after, inPath = strings.Cut(path, "{rest...}")
		}
		if inPath {
			all = append(all, [2]string{before, after})
		}
		for _, p := range operations["get"].Parameters {
			if p.In == "query" {
				all = append(all, [2]string{strings.Replace(path, "{id}", chain, 1) + "?" + p.Name + "=", ""})
			}
		}
	}
	return append(all, [2]string{"/v1/log/inclusion?seq=1&chain=", ""}, [2]string{"/v1/receipts?nothing=", ""})
}

// Every parameter of every endpoint takes what an attacker would send: it is
// answered as nothing found or as refused, never by a failure, and alike by every
// store.
func TestParametersAreNoSQL(t *testing.T) {
	c := newChain("a.example")
	answers := map[string]string{} // by request, of the first store
	onEach(t, func(t *testing.T, w *world) {
		w.keep(c)
		w.sequence()
		first := len(answers) == 0
		for _, target := range targets(t, c.ID) {
			for _, text := range append(hostile(), "0000-01-01", "0001-01-01", "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59") {
				escape := url.QueryEscape
				if !strings.Contains(target[0], "?") {
					escape = url.PathEscape
				}
				request := target[0] + escape(text) + target[1]
				resp, body := w.do(http.MethodGet, request, acme, nil)
				if resp.StatusCode >= http.StatusInternalServerError {
					t.Errorf("GET %s: %s %s", request, resp.Status, body)
				}
				if answer := resp.Status + " " + string(body); first {
					answers[request] = answer
				} else if answers[request] != answer {
					t.Errorf("GET %s: %s; the other store: %s", request, answer, answers[request])
				}
			}
		}
		w.wantUnharmed(2)
	})
}

// Likewise every member of an export.
func TestExportsAreNoSQL(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.chain("a.example")
		for _, member := range []string{"from", "to", "chain", "agent", "trace", "profile"} {
			for _, text := range hostile() {
				members := map[string]string{"from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z"}
				members[member] = text
				body, err := json.Marshal(members)
				if err != nil {
					t.Fatal(err)
				}
				want := http.StatusBadRequest
				if len(text) < 5000 && (member == "agent" || member == "trace") {
					want = http.StatusOK // a filter that nothing passes
				}
				if resp, body := w.do(http.MethodPost, "/v1/exports", acme, bytes.NewReader(body)); resp.StatusCode != want {
					t.Errorf("%s %q: %s %.300s, want %d", member, text, resp.Status, body, want)
				}
			}
		}
		w.wantUnharmed(2)
	})
}

// wantUnharmed wants so many receipts to be there, and nothing to be logged.
func (w *world) wantUnharmed(want int) {
	w.t.Helper()
	var page receiptList
	w.get("/v1/receipts", &page)
	if len(page.Receipts) != want {
		w.t.Errorf("there are %d receipts afterwards, want %d", len(page.Receipts), want)
	}
	if w.log.Len() > 0 {
		w.t.Errorf("the log has\n%s", &w.log)
	}
}

func TestTenantsSeeTheirOwnAlone(t *testing.T) { onEach(t, testTenantsSeeTheirOwnAlone) }

func testTenantsSeeTheirOwnAlone(t *testing.T, w *world) {
	c := w.chain("a.example")
	id := c.ReceiptAt(2).ReceiptID
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

func TestCursorsCannotBeMadeUp(t *testing.T) { onEach(t, testCursorsCannotBeMadeUp) }

func testCursorsCannotBeMadeUp(t *testing.T, w *world) {
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
