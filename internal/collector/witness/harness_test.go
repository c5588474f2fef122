package witness_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/storetest"
	"github.com/signet-egress/signet/internal/collector/witness"
	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/stores"
	"github.com/signet-egress/signet/internal/testkit/witnesses"
	"github.com/signet-egress/signet/receipts/logproof"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// began is when the chains of the tests begin.
var began = time.Date(2026, 11, 23, 3, 4, 5, 0, time.UTC)

// world is a collector's log, and witnesses of it.
type world struct {
	t      *testing.T
	store  store.Store
	signer *merkle.Signer
	key    string // verifier key of the log
	prover merkle.Prover
	heard  *heard
	logged *testkit.Log
}

func newWorld(t *testing.T) *world {
	t.Helper()
	kept := stores.SQLite(t)
	w := &world{t: t, store: kept, signer: signerOf(1), prover: merkle.Prover{Store: kept}, heard: &heard{Collector: metrics.NewCollector("v0.0.0-test")}, logged: new(testkit.Log)}
	if err := kept.CreateTenant(t.Context(), store.Tenant{Name: "acme", Created: began}); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.key, err = w.signer.VerifierKey("acme"); err != nil {
		t.Fatal(err)
	}
	return w
}

func signerOf(n byte) *merkle.Signer {
	return merkle.NewSigner("collector.example", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)))
}

// grow stores n records, and takes them into the log.
func (w *world) grow(n int) {
	w.t.Helper()
	w.growOf("acme", n)
}

func (w *world) growOf(tenant string, n int) {
	w.t.Helper()
	c := chains.New(tenant, "billing", began)
	c.Exchanges(n - 1)
	storetest.Keep(w.t, w.store, c, began)
	taken, err := merkle.NewSequencer(w.store, w.signer, w.heard, slog.New(slog.DiscardHandler)).Take(w.t.Context(), tenant)
	if err != nil || taken != n {
		w.t.Fatalf("%d of %d records are logged, %v", taken, n, err)
	}
}

func (w *world) newest() merkle.Checkpoint {
	w.t.Helper()
	all, err := w.prover.Checkpoints(w.t.Context(), "acme")
	if err != nil || len(all) == 0 {
		w.t.Fatal(all, err)
	}
	return all[0]
}

// serve starts a witness that trusts the log.
func (w *world) serve(name string) (*witnesses.Server, *witness.Client) {
	w.t.Helper()
	s := witnesses.NewServer(name, w.key)
	return s, w.client(s.Cosigner, w.listen(s))
}

func (w *world) listen(s *witnesses.Server) string {
	server := httptest.NewServer(s)
	w.t.Cleanup(server.Close)
	return server.URL + "/prefix/"
}

func (w *world) client(c witnesses.Cosigner, url string) *witness.Client {
	w.t.Helper()
	client, err := witness.New(c.VerifierKey() + " " + url)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return client
}

// feeder has no interval, so that each round asks.
func (w *world) feeder(clients ...*witness.Client) *witness.Feeder {
	return witness.NewFeeder(w.store, w.prover, clients, 0, w.heard, slog.New(slog.NewTextHandler(w.logged, nil)))
}

func (w *world) round(f *witness.Feeder) {
	w.t.Helper()
	if err := f.Round(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// wantCosigned wants the newest checkpoint to be cosigned by these alone, as an
// auditor with their keys checks it.
func (w *world) wantCosigned(by ...witnesses.Cosigner) {
	w.t.Helper()
	newest := w.newest()
	if len(newest.By) != len(by) {
		w.t.Errorf("the newest checkpoint is cosigned by %d, not %d", len(newest.By), len(by))
	}
	keys := make([]*logproof.Witness, len(by))
	for i, c := range by {
		var err error
		if keys[i], err = logproof.NewWitness(c.VerifierKey()); err != nil {
			w.t.Fatal(err)
		}
	}
	policy, err := logproof.Needed(0, keys...)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := logproof.OpenCheckpoint(newest.Note(), w.key); err != nil {
		w.t.Error(err)
	}
	if _, _, err := policy.Check(newest.Note(), w.key); err != nil {
		w.t.Error(err)
	}
}

// wantAlarm wants the alarm open of which the message has a part; "" for none.
func (w *world) wantAlarm(part string) {
	w.t.Helper()
	open, err := w.store.ListAlarms(w.t.Context(), "acme", store.AlarmQuery{Open: true})
	switch {
	case err != nil:
		w.t.Fatal(err)
	case part == "" && len(open) > 0:
		w.t.Errorf("alarms: %+v", open)
	case part != "" && (len(open) != 1 || open[0].Kind != store.AlarmWitness || open[0].Chain != "" || !strings.Contains(open[0].Message, part)):
		w.t.Errorf("alarms: %+v; want one with %q", open, part)
	}
}

// heard is an Observer, and remembers.
type heard struct {
	*metrics.Collector

	mu       sync.Mutex
	outcomes []string
	waits    map[string]time.Duration
}

// Witnessed implements witness.Observer.
func (h *heard) Witnessed(name, outcome string) {
	h.Collector.Witnessed(name, outcome)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.outcomes = append(h.outcomes, name+" "+outcome)
}

// Unwitnessed implements witness.Observer.
func (h *heard) Unwitnessed(name string, waits time.Duration) {
	h.Collector.Unwitnessed(name, waits)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waits == nil {
		h.waits = make(map[string]time.Duration)
	}
	h.waits[name] = waits
}

// want wants these outcomes since the last time, in any order.
func (w *world) want(outcomes ...string) {
	w.t.Helper()
	w.heard.mu.Lock()
	defer w.heard.mu.Unlock()
	slices.Sort(w.heard.outcomes)
	slices.Sort(outcomes)
	if !slices.Equal(w.heard.outcomes, outcomes) {
		w.t.Errorf("outcomes are %q, want %q", w.heard.outcomes, outcomes)
	}
	w.heard.outcomes = nil
}

// nobody is a store without tenants, and counts how often it is asked.
type nobody struct {
	store.Store
	asked int
}

// Tenants implements witness.Store.
func (n *nobody) Tenants(context.Context, string, int) ([]store.Tenant, error) {
	n.asked++
	return nil, nil
}

// logs tells how often a text was logged.
func (w *world) logs(text string) int { return strings.Count(w.logged.String(), text) }

// otherTree is the tree of another log with as many records.
func otherTree(n int64) tlog.Tree { return tlog.Tree{N: n, Hash: tlog.RecordHash([]byte("another"))} }
