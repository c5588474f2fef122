package audit_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/audit"
	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/storetest"
	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/stores"
	"github.com/signet-egress/signet/receipts/bundle"
)

// cluster is PostgreSQL for all tests of the binary.
var cluster stores.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// began is when the chains of the tests begin.
var began = time.Date(2026, 11, 23, 3, 4, 5, 0, time.UTC)

// archive is a store and who exports from it.
type archive struct {
	t     *testing.T
	store store.Store
	*audit.Exporter
}

func onEach(t *testing.T, test func(t *testing.T, a *archive)) {
	t.Helper()
	cluster.OnEach(t, func(t *testing.T, kept store.Store) {
		if err := kept.CreateTenant(t.Context(), store.Tenant{Name: "acme", Created: began}); err != nil {
			t.Fatal(err)
		}
		key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		test(t, &archive{t, kept, &audit.Exporter{
			Store: kept, Prover: merkle.Prover{Store: kept}, Key: key, Build: "v0.0.0-test", Now: time.Now,
			Sequencer: merkle.NewSequencer(kept, merkle.NewSigner("collector.example", key), metrics.NewCollector("v0.0.0-test"), slog.New(slog.DiscardHandler)),
		}})
	})
}

func (a *archive) export(r audit.Request) []byte {
	a.t.Helper()
	found, err := a.Find(a.t.Context(), "acme", r)
	if err != nil {
		a.t.Fatal(err)
	}
	var b bytes.Buffer
	if err := found.Write(a.t.Context(), &b); err != nil {
		a.t.Fatal(err)
	}
	return b.Bytes()
}

// wantBundle wants a bundle of a chain that verifies, from a seq to another, with
// the proof of its last record.
func wantBundle(t *testing.T, file []byte, chain string, first, last int64) {
	t.Helper()
	b, err := bundle.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Verify(nil, func(int) {}); err != nil {
		t.Error(err)
	}
	m := b.Manifest()
	if m.Log == nil || m.Chain != chain || m.First.Seq != first || m.Last.Seq != last {
		t.Errorf("the bundle of %d to %d has %+v", first, last, m)
	}
}

// pruned is a store whose records go once some were read.
type pruned struct {
	store.Store
	prune func()
}

func (p pruned) Range(ctx context.Context, tenant, chain string, from int64, limit int) ([]store.Record, error) {
	records, err := p.Store.Range(ctx, tenant, chain, from, limit)
	p.prune()
	return records, err
}

// An export whose records are removed while it reads them fails, wherever the rest of
// the chain begins then.
func TestRecordsGoInMidExport(t *testing.T) {
	onEach(t, func(t *testing.T, a *archive) {
		for _, upTo := range []int64{550, 600, 650} { // of 600, which are read in two pages
			c := chains.New("acme", "billing", began)
			c.Exchanges(699)
			storetest.Keep(t, a.store, c, began)
			a.Store = a.store
			found, err := a.Find(t.Context(), "acme", audit.Request{From: began, To: began.Add(5995 * time.Millisecond), Chain: c.ID})
			if err != nil {
				t.Fatal(err)
			}
			a.Store = pruned{a.store, sync.OnceFunc(func() {
				p := store.Prune{Chain: c.ID, Before: began.Add(time.Hour), Months: 1, At: began, Limit: int(upTo)}
				if gone, err := cluster.Owner(t, a.store).Prune(t.Context(), "acme", p); err != nil || gone.Last != upTo {
					t.Errorf("pruned up to seq %d, %v", gone.Last, err)
				}
			})}
			if err := found.Write(t.Context(), new(bytes.Buffer)); err == nil {
				t.Errorf("an export of what goes up to seq %d in the middle of it ends well", upTo)
			}
		}
	})
}

// What was stored a moment ago, and waits for the log, is exported with its proof.
func TestBundlesCarryTheirProof(t *testing.T) {
	onEach(t, func(t *testing.T, a *archive) {
		whole := audit.Request{From: began, To: began.Add(time.Hour)}
		var ids []string
		for range 3 {
			c := chains.New("acme", "billing", began)
			c.Exchanges(20)
			storetest.Keep(t, a.store, c, began)
			ids = append(ids, c.ID)
		}
		file := a.export(whole)
		z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
		if err != nil || len(z.File) != len(ids) {
			t.Fatalf("%d bundles, %v", len(z.File), err)
		}
		for _, id := range ids {
			one, err := fs.ReadFile(z, id+".zip")
			if err != nil {
				t.Fatal(err)
			}
			wantBundle(t, one, id, 1, 21)
			part := whole
			part.Chain, part.From, part.To = id, began.Add(50*time.Millisecond), began.Add(100*time.Millisecond)
			wantBundle(t, a.export(part), id, 6, 10)
		}
	})
}

// A chain that goes on after its disk was put back is exported as it verifies:
// without the records that it has given up, wherever the period begins or ends.
func TestBundlesPassOverWhatWasGivenUp(t *testing.T) {
	onEach(t, func(t *testing.T, a *archive) {
		c := chains.New("acme", "billing", began)
		c.Exchanges(19)
		storetest.Keep(t, a.store, c, began)
		back := c.Recover(12, 20)
		back.Exchanges(9)
		b := storetest.Batch(t, back.Lines[12:], began)
		b.After = store.Head{Seq: 20, Hash: c.Head().ReceiptHash}
		b.GivenUp = store.Span{First: 13, Last: 20}
		if _, err := a.store.Append(t.Context(), "acme", b); err != nil {
			t.Fatal(err)
		}
		at := func(seq int) time.Time { return began.Add(time.Duration(seq-1) * 10 * time.Millisecond) }
		for _, test := range []struct{ from, to, first, last int }{
			{1, 40, 1, 30}, {1, 16, 1, 12}, {5, 24, 5, 23}, {15, 26, 21, 25}, {22, 26, 22, 25},
		} {
			file := a.export(audit.Request{From: at(test.from), To: at(test.to), Chain: c.ID})
			wantBundle(t, file, c.ID, int64(test.first), int64(test.last))
		}
		_, err := a.Find(t.Context(), "acme", audit.Request{From: at(14), To: at(18), Chain: c.ID})
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("records that were given up, and no other: %v", err)
		}
	})
}
