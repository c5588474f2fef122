package collector_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/witness"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/witnesses"
	"github.com/signet-egress/signet/receipts/bundle"
	"github.com/signet-egress/signet/receipts/logproof"
)

// What a sidecar ships is witnessed within a moment, and a bundle carries what the
// witnesses said; one that never answers keeps neither acks nor exports waiting.
func TestWitnesses(t *testing.T) { onEach(t, testWitnesses) }

func testWitnesses(t *testing.T, w *world) {
	key, err := merkle.NewSigner("collector.example", w.key).VerifierKey("acme")
	if err != nil {
		t.Fatal(err)
	}
	good, hangs := witnesses.NewServer("witness.example/good", key), witnesses.NewServer("witness.example/hangs", key)
	release := make(chan struct{})
	hangs.Misbehave(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	w.stop()
	for _, s := range []*witnesses.Server{good, hangs} {
		server := httptest.NewServer(s)
		defer server.Close()
		c, err := witness.New(s.VerifierKey() + " " + server.URL)
		if err != nil {
			t.Fatal(err)
		}
		w.witnesses = append(w.witnesses, c)
	}
	w.serve()

	c := chains.New("acme", "billing-agent", time.Now())
	s := w.open(w.enrol(c), c.ID)
	c.Exchanges(19)
	s.acked(c.Head(), c.Lines...)
	token := w.token("acme", store.ScopeReceiptsRead, store.ScopeExport)
	export := func(policy *logproof.Policy) (bundle.Result, error) {
		t.Helper()
		day := 24 * time.Hour
		_, file := w.ask(http.MethodPost, "/v1/exports", token, `{"chain": "`+c.ID+`", "from": "`+time.Now().Add(-day).UTC().Format(time.RFC3339)+`", "to": "`+time.Now().Add(day).UTC().Format(time.RFC3339)+`"}`)
		r, err := bundle.Open(strings.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		r.Demand(policy)
		return r.Verify(nil, nil)
	}
	if _, err := export(nil); err != nil { // while hangs has a request
		t.Fatal(err)
	}
	close(release) // it answers with nothing from now on, which is no cosignature
	for good.Seen(key).N < int64(len(c.Lines)) || !w.witnessed(t, int64(len(c.Lines))) {
		select {
		case <-t.Context().Done():
			t.Fatal("the log is not witnessed")
		case <-time.After(10 * time.Millisecond):
		}
	}
	policy, err := logproof.Needed(1, verifierOf(t, good), verifierOf(t, hangs))
	if err != nil {
		t.Fatal(err)
	}
	found, err := export(policy)
	if err != nil || len(found.Logged.Cosignatures) != 1 || found.Logged.Cosignatures[0].Witness.Name() != good.Name {
		t.Errorf("the bundle: %+v, %v", found.Logged, err)
	}
	if both, err := logproof.Needed(2, verifierOf(t, good), verifierOf(t, hangs)); err != nil {
		t.Fatal(err)
	} else if _, err := export(both); err == nil || !strings.Contains(err.Error(), "not by witness.example/hangs") {
		t.Errorf("with both demanded: %v", err)
	}
	_, checkpoint := w.ask(http.MethodGet, "/v1/log/checkpoint?witnesses=1", token, "")
	if _, _, err := policy.Check([]byte(checkpoint), key); err != nil {
		t.Error(err)
	}
	w.wantAlarms()
}

func (w *world) witnessed(t *testing.T, size int64) bool {
	t.Helper()
	kept, err := w.store.Cosignatures(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	return len(kept) > 0 && kept[0].Size == size
}

func verifierOf(t *testing.T, s *witnesses.Server) *logproof.Witness {
	t.Helper()
	v, err := logproof.NewWitness(s.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	return v
}
