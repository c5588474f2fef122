package httpapi_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/stores"
)

// down is a store that does not answer.
type down struct{ store.Store }

func (down) TokenByDigest(context.Context, [32]byte) (store.Token, error) {
	return store.Token{}, errors.New("the store does not answer")
}

// behind is a store whose logs have too much to take in.
type behind struct{ store.Store }

func (behind) Sequence(context.Context, string, int, store.Grow) (int, error) {
	return 0, merkle.ErrBehind
}

// Every status that an endpoint is documented to refuse with can be had, and no
// other was had.
func TestEveryStatusIsDocumented(t *testing.T) {
	d, _ := readDocument(t)
	documented := map[string]bool{}
	for path, operations := range d.Paths {
		for _, o := range operations {
			for status := range o.Responses {
				if status != "200" {
					documented[path+" "+status] = true
				}
			}
		}
	}
	w := newWorld(t, stores.SQLite(t))
	w.refuseAll(d)
	w.server.Close() // nothing is under way any more
	got := maps.Clone(w.seen)
	maps.DeleteFunc(got, func(answer string, _ bool) bool { return strings.HasSuffix(answer, " 200") })
	for _, answer := range slices.Sorted(maps.Keys(got)) {
		if !documented[answer] {
			t.Errorf("%s was answered, and is not documented", answer)
		}
	}
	for _, answer := range slices.Sorted(maps.Keys(documented)) {
		if !got[answer] {
			t.Errorf("%s is documented, and was not answered", answer)
		}
	}
}

// refuseAll has each endpoint refuse in every way.
func (w *world) refuseAll(d document) {
	w.t.Helper()
	w.chain("a.example")
	w.token("acme", "enrols", time.Time{}, store.ScopeEnroll)
	whole := w.store
	each := func(token, query, body string) {
		for path, operations := range d.Paths {
			target := strings.NewReplacer("{id}", chains.UUID(), "{rest...}", "0/999").Replace(path)
			for method := range operations {
				w.do(strings.ToUpper(method), target+query, token, strings.NewReader(body))
			}
		}
	}
	period := `{"from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z"}`
	each("", "", "")
	each("enrols", "", "")
	each(acme, "?misspelt=1", "")
	each(other, "", period)
	w.do(http.MethodGet, "/v1/log/inclusion?receipt="+chains.UUID(), acme, nil)
	w.do(http.MethodGet, "/v1/log/consistency?from=1", other, nil)

	w.store = behind{whole}
	w.serve(1000)
	w.do(http.MethodPost, "/v1/exports", acme, strings.NewReader(period))
	w.store = whole
	w.serve(1000)
	gone := w.chain("b.example")
	w.prune(gone)
	w.do(http.MethodGet, "/v1/receipts/"+gone.ReceiptAt(2).ReceiptID, acme, nil)
	w.do(http.MethodGet, "/v1/log/inclusion?receipt="+gone.ReceiptAt(2).ReceiptID, acme, nil)
	w.do(http.MethodPost, "/v1/exports", acme, strings.NewReader(period))
	w.store = down{whole}
	w.serve(1000)
	each(acme, "", "")
	w.store = whole
	w.serve(1)
	w.get("/v1/chains", new(any))
	each(acme, "", "")
}
