package retention_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/retention"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/storetest"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/stores"
)

// cluster is PostgreSQL for all tests of the binary.
var cluster stores.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// now is when records are removed: of a tenant that has them kept for 13 months those
// that were made and received before October 2026.
var now = time.Date(2027, 11, 23, 3, 4, 5, 0, time.UTC)

// keep has a tenant keep a chain that was made and received at a time.
func keep(t *testing.T, kept store.Store, tenant string, records int, at time.Time) *chains.Chain {
	t.Helper()
	c := chains.New(tenant, "billing-agent", at)
	c.Step = time.Millisecond
	c.Exchanges(records - 1)
	storetest.Keep(t, kept, c, at)
	return c
}

// logged takes everything into the log, as if it were one.
func logged(t *testing.T, kept store.Store, tenant string) {
	t.Helper()
	for {
		n, err := kept.Sequence(t.Context(), tenant, 2000, storetest.Counted)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// world is what three tenants keep, of whom one has all of it kept for ever.
type world struct {
	t     *testing.T
	store store.Store
	owner store.Store
	old   []*chains.Chain // of acme, in the order of their age
	young *chains.Chain
	bytes int64 // of the old ones' lines
}

func newWorld(t *testing.T, kept store.Store) *world {
	w := &world{t: t, store: kept, owner: cluster.Owner(t, kept)}
	for _, tenant := range []string{"acme", "beta", "gamma"} {
		if err := kept.CreateTenant(t.Context(), store.Tenant{Name: tenant, Created: now}); err != nil {
			t.Fatal(err)
		}
	}
	w.retain("acme", 13)
	w.retain("beta", 1)
	for i := range 3 {
		c := keep(t, kept, "acme", 110, time.Date(2026, 9, 3+i, 0, 0, 0, 0, time.UTC))
		for _, line := range c.Lines {
			w.bytes += int64(len(line))
		}
		w.old = append(w.old, c)
	}
	w.young = keep(t, kept, "acme", 10, time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC))
	keep(t, kept, "gamma", 10, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	logged(t, kept, "acme")
	logged(t, kept, "gamma")
	return w
}

func (w *world) retain(tenant string, months int) {
	w.t.Helper()
	if err := w.owner.SetRetention(w.t.Context(), tenant, months); err != nil {
		w.t.Fatal(err)
	}
}

// all has a pruner remove what is to go of all tenants.
func (w *world) all(ctx context.Context, p *retention.Pruner) ([]retention.Sum, error) {
	var sums []retention.Sum
	err := p.All(ctx, func(s retention.Sum) error {
		sums = append(sums, s)
		return nil
	})
	return sums, err
}

func (w *world) pruner() *retention.Pruner {
	return &retention.Pruner{Store: w.owner, Batch: 40, Now: func() time.Time { return now }}
}

// What is kept is what must be, and what was removed is accounted for.
func (w *world) wantPruned() {
	w.t.Helper()
	ctx := w.t.Context()
	for _, c := range append(w.old, w.young) {
		records, err := w.store.Range(ctx, "acme", c.ID, 1, 1000)
		if want := map[bool]int{true: 10}[c == w.young]; err != nil || len(records) != want {
			w.t.Errorf("%d records are left of a chain, %v; want %d", len(records), err, want)
		}
	}
	removals, err := w.store.Removals(ctx, "acme")
	if err != nil || len(removals) != 1 || removals[0].Records != 330 || removals[0].Bytes != w.bytes || removals[0].Months != 13 ||
		!removals[0].Before.Equal(store.Cutoff(now, 13)) {
		w.t.Errorf("the account is %+v, %v; want 330 records of %d bytes", removals, err, w.bytes)
	}
	for _, tenant := range []string{"beta", "gamma"} {
		if removals, err := w.store.Removals(ctx, tenant); err != nil || len(removals) != 0 {
			w.t.Errorf("of tenant %s was removed %+v, %v", tenant, removals, err)
		}
	}
}

func TestPruner(t *testing.T) {
	cluster.OnEach(t, func(t *testing.T, kept store.Store) {
		w := newWorld(t, kept)
		p := w.pruner()
		p.Rehearse = true
		would, err := w.all(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		p.Rehearse = false
		did, err := w.all(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		want := []retention.Sum{
			{Tenant: "acme", Months: 13, Before: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), Chains: 3, Records: 330, Bytes: w.bytes},
			{Tenant: "beta", Months: 1, Before: time.Date(2027, 10, 1, 0, 0, 0, 0, time.UTC)},
		}
		for i := range want {
			if len(would) != len(want) || would[i] != want[i] || did[i] != want[i] {
				t.Errorf("would remove\n%+v, removed\n%+v; want\n%+v", would, did, want)
			}
		}
		w.wantPruned()
		if again, err := p.Tenant(t.Context(), "acme"); err != nil || again.Records != 0 {
			t.Errorf("a second time: %+v, %v", again, err)
		}
		if _, err := p.Tenant(t.Context(), "nobody"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("no such tenant: %v", err)
		}
	})
}

// Interrupted after any batch, the next one who prunes goes on from there. Several do
// so at once.
func TestPrunerIsInterrupted(t *testing.T) {
	cluster.OnEach(t, func(t *testing.T, kept store.Store) {
		w := newWorld(t, kept)
		rounds := 0
		for done := false; !done; rounds++ {
			ctx, cancel := context.WithCancel(t.Context())
			p := w.pruner()
			p.Progress = func(more int64) {
				if more > 0 {
					cancel()
				}
			}
			_, err := w.all(ctx, p)
			if done = err == nil; !done && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			cancel()
		}
		if rounds < 9 {
			t.Errorf("it was interrupted %d times", rounds)
		}
		w.wantPruned()
	})
}

func TestPrunersAtOnce(t *testing.T) {
	cluster.OnEach(t, func(t *testing.T, kept store.Store) {
		w := newWorld(t, kept)
		sums := make(chan int64)
		for range 2 {
			go func() {
				sum, err := w.pruner().Tenant(t.Context(), "acme")
				if err != nil {
					t.Error(err)
				}
				sums <- sum.Records
			}()
		}
		if a, b := <-sums, <-sums; a+b != 330 {
			t.Errorf("one removed %d records, and one %d", a, b)
		}
		w.wantPruned()
	})
}

// A collector that does not work as the owner says so, and goes on.
func TestPrunerOfAnother(t *testing.T) {
	if cluster.Postgres == nil {
		t.Skip("PostgreSQL is not installed")
	}
	w := newWorld(t, cluster.Open(t))
	ctx, cancel := context.WithCancel(t.Context())
	log := &stopping{stop: cancel}
	p := w.pruner()
	p.Store = w.store
	p.Run(ctx, slog.New(slog.NewTextHandler(log, nil)))
	if text := log.String(); strings.Count(text, "level=") != 1 || !strings.Contains(text, "signet-collector prune") {
		t.Errorf("the log is\n%s", text)
	}
	if records, err := w.store.Range(t.Context(), "acme", w.old[0].ID, 1, 1000); err != nil || len(records) != 110 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

// stopping is a log that stops who writes to it.
type stopping struct {
	bytes.Buffer
	stop func()
}

func (s *stopping) Write(p []byte) (int, error) {
	s.stop()
	return s.Buffer.Write(p)
}

func TestCutoff(t *testing.T) {
	for _, test := range []struct {
		now    string
		months int
		want   string
	}{
		{"2028-03-31T23:59:59.999Z", 1, "2028-02-01"},
		{"2028-03-01T00:00:00Z", 1, "2028-02-01"},
		{"2028-03-01T00:30:00+01:00", 1, "2028-01-01"}, // in UTC it is February
		{"2028-02-29T12:00:00Z", 12, "2027-02-01"},
		{"2028-01-15T12:00:00Z", 13, "2026-12-01"},
	} {
		at, err := time.Parse(time.RFC3339, test.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := store.Cutoff(at, test.months); got.Format(time.DateOnly) != test.want || got.Location() != time.UTC {
			t.Errorf("%s, %d months: %s, want %s", test.now, test.months, got, test.want)
		}
	}
}
