package collector_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/internal/testkit/stores"
)

// shipper is a sidecar that does not give up: whatever ends its stream, it comes
// back and goes on from where the collector says.
type shipper struct {
	world *world
	cert  tls.Certificate
	chain *chains.Chain
	size  int           // of a batch
	addr  func() string // of the collector, wherever that is now
	acked func(records int)
}

// ship returns when the collector has acknowledged the whole chain.
func (s *shipper) ship(ctx context.Context) error {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		err := s.session(ctx)
		if err == nil || errors.Is(err, errRefused) {
			return err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return fmt.Errorf("%w; the last session ended with: %w", ctx.Err(), err)
		}
	}
}

var errRefused = errors.New("refused")

func (s *shipper) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	connection, err := grpc.NewClient(s.addr(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: s.world.authority.Pool(), Certificates: []tls.Certificate{s.cert},
	})))
	if err != nil {
		return err
	}
	defer connection.Close()
	stream, err := api.NewIngestClient(connection).Ship(ctx)
	if err != nil {
		return err
	}
	// Where a message cannot be sent, Recv says why.
	_ = stream.Send(hello(s.chain.ID))
	response, err := stream.Recv()
	if err != nil {
		return err
	}
	next := response.GetState().GetNextSeq()
	for next <= int64(len(s.chain.Lines)) {
		lines := s.chain.Lines[next-1 : min(int(next)-1+s.size, len(s.chain.Lines))]
		_ = stream.Send(batch(lines...))
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		switch {
		case response.GetAck() != nil:
			next += int64(len(lines))
			s.acked(len(lines))
		case response.GetGap() != nil:
			next = response.GetGap().GetNextSeq()
		default:
			return fmt.Errorf("%w: %v", errRefused, response)
		}
	}
	return nil
}

// fleet is several shippers at once.
type fleet struct {
	chains []*chains.Chain
	acked  atomic.Int64
	done   chan error
}

func (w *world) fleet(ctx context.Context, n, records int, addr func() string) *fleet {
	w.t.Helper()
	f := &fleet{done: make(chan error, n)}
	for range n {
		c := chains.New("acme", "billing-agent", time.Now())
		cert := w.enrol(c)
		c.Exchanges(records)
		f.chains = append(f.chains, c)
		s := &shipper{world: w, cert: cert, chain: c, size: 50, addr: addr, acked: func(n int) { f.acked.Add(int64(n)) }}
		go func() { f.done <- s.ship(ctx) }()
	}
	return f
}

// reach waits until so many records were acknowledged.
func (f *fleet) reach(t *testing.T, records int64) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%d acknowledged records", records), func() bool { return f.acked.Load() >= records })
}

func waitFor(t *testing.T, what string, there func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !there() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// settle waits for all shippers, and holds the store against what they had: all
// of it, once, in the records, in the usage and in the log.
func (f *fleet) settle(t *testing.T, w *world) {
	t.Helper()
	for range f.chains {
		if err := <-f.done; err != nil {
			t.Fatal(err)
		}
	}
	var records, exchanges int64
	for _, c := range f.chains {
		verifyStored(t, w.store, c)
		records += int64(len(c.Lines))
	}
	hours, err := w.store.Rollups(t.Context(), "acme", store.RollupQuery{From: time.Now().Add(-24 * time.Hour), To: time.Now().Add(24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range hours {
		exchanges += hours[i].Exchanges
	}
	if want := records - int64(len(f.chains)); exchanges != want { // a genesis is no exchange
		t.Errorf("%d exchanges are counted, want %d", exchanges, want)
	}
	waitFor(t, "the log", func() bool {
		log, err := w.store.LogState(t.Context(), "acme")
		return err == nil && log.Size >= records
	})
	var logged []string
	for from := int64(0); ; {
		leaves, err := w.store.LogEntries(t.Context(), "acme", from, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(leaves) == 0 {
			break
		}
		for i := range leaves {
			logged = append(logged, fmt.Sprint(leaves[i].Chain, leaves[i].Seq))
		}
		from += int64(len(leaves))
	}
	slices.Sort(logged)
	if n := len(slices.Compact(logged)); int64(n) != records {
		t.Errorf("%d records are in the log, want %d", n, records)
	}
}

// PostgreSQL ends in mid-ingest, in order and without, and comes back.
func TestPostgresRestarts(t *testing.T) {
	own, err := peers.StartPostgres(t.Context(), "fsync=off")
	if errors.Is(err, peers.ErrNoPostgres) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	pg := stores.Cluster{Postgres: own}
	w := start(t, open(t, pg.Database(t)))
	f := w.fleet(t.Context(), 3, 600, func() string { return w.collector.Addr().String() })
	for i, end := range []func() error{pg.Stop, pg.Crash, pg.Crash} {
		f.reach(t, int64(400*(i+1)))
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := pg.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f.settle(t, w)
}

// lossy loses the answer of the store's commits, now and then: as if the
// collector had died between commit and ack.
type lossy struct {
	store.Store
	commits atomic.Int64
}

func (l *lossy) Append(ctx context.Context, tenant string, b *store.Batch) (store.Chain, error) {
	chain, err := l.Store.Append(ctx, tenant, b)
	if err == nil && l.commits.Add(1)%3 == 0 {
		return store.Chain{}, errors.New("the collector has died after this commit")
	}
	return chain, err
}

func TestLostAcks(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w = start(t, &lossy{Store: w.store})
		w.fleet(t.Context(), 2, 250, func() string { return w.collector.Addr().String() }).settle(t, w)
	})
}

// Two replicas are fed the same chains at once.
func TestTwoReplicas(t *testing.T) {
	w := start(t, cluster.Open(t))
	one := w.collector
	w.serve()
	two := w.collector
	f := w.fleet(t.Context(), 2, 300, func() string { return one.Addr().String() })
	var group sync.WaitGroup
	for _, c := range f.chains {
		again := &shipper{world: w, cert: w.enrol(c), chain: c, size: 70, addr: func() string { return two.Addr().String() }, acked: func(int) {}}
		group.Go(func() {
			if err := again.ship(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	f.settle(t, w)
}
