package httpapi_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/stores"
	"github.com/signet-egress/signet/receipts/bundle"
)

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
	if m := b.Manifest(); m.Log == nil || m.Chain != c.ID || m.Tenant != c.Tenant || m.First.Seq != 1 || m.Last.Seq != int64(len(c.Lines)) {
		t.Errorf("the bundle has %+v", m)
	}
}

// keyless is a store that fails where an export begins.
type keyless struct{ store.Store }

func (keyless) ChainKeys(context.Context, string, string) ([]store.Key, error) {
	return nil, errors.New("the store does not answer")
}

// An export that fails before its first byte is answered with a problem, and with
// nothing of a file.
func TestExportsThatFailAtOnce(t *testing.T) {
	w := newWorld(t, stores.SQLite(t))
	w.chain("a.example")
	w.store = keyless{w.store}
	w.serve(1000)
	resp, body := w.do(http.MethodPost, "/v1/exports", acme, strings.NewReader(`{"from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z"}`))
	if h := resp.Header; resp.StatusCode != http.StatusInternalServerError || h.Get("Content-Type") != "application/problem+json" || h.Get("Content-Disposition") != "" {
		t.Errorf("%s %v\n%s", resp.Status, h, body)
	}
}

func TestExports(t *testing.T) { onEach(t, testExports) }

func testExports(t *testing.T, w *world) {
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
		"a second one":      {`{` + period + `}{}`, http.StatusBadRequest},
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
