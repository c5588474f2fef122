package collector_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/cache"
	"github.com/signet-egress/signet/internal/collector/redis"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/receipts"
)

// A receipt by its id: from PostgreSQL, from a replica's memory, from Redis, and
// where it is in neither and is kept in both.
func BenchmarkReceipt(b *testing.B) {
	kept := cluster.Open(b)
	ids := fillForReading(b, kept)
	measured := metrics.NewCollector("v0.0.0-test")
	server, err := peers.StartRedis(b.Context())
	if err != nil {
		b.Skip(err)
	}
	defer server.Close()
	settings, err := redis.ParseURL(server.URL(nil))
	if err != nil {
		b.Fatal(err)
	}
	shared := redis.New(b.Context(), settings, []byte("secret"), slog.New(slog.DiscardHandler), measured)
	defer shared.Close()
	newCache := func() store.Store { return cache.New(kept, shared, []byte("secret"), time.Now, measured) }
	warm := newCache()
	for _, id := range ids {
		if _, err := warm.Receipt(b.Context(), "acme", id); err != nil {
			b.Fatal(err)
		}
	}
	for name, from := range map[string]func() store.Store{
		"postgres": func() store.Store { return kept },
		"memory":   func() store.Store { return warm },
		"redis":    newCache,
		"nowhere": func() store.Store {
			return cache.New(kept, nowhere{shared}, []byte("secret"), time.Now, measured)
		},
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				s, id := from(), ids[rand.IntN(len(ids))]
				begin := time.Now()
				if _, err := s.Receipt(b.Context(), "acme", id); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(0, "ns/op") // it has the making of caches
			b.ReportMetric(took[len(took)/2].Seconds()*1e6, "median-us")
			b.ReportMetric(took[len(took)*95/100].Seconds()*1e6, "p95-us")
		})
	}
}

// nowhere is a shared cache that takes everything and has nothing.
type nowhere struct{ cache.Shared }

func (n nowhere) Get(ctx context.Context, id string, most int) []byte {
	return n.Shared.Get(ctx, "not "+id, most)
}

// fillForReading stores receipts of one chain, and returns their ids.
func fillForReading(b *testing.B, kept store.Store) (ids []string) {
	b.Helper()
	c := chains.New("acme", "billing-agent", time.Now())
	c.Exchanges(5000)
	err := errors.Join(
		kept.CreateTenant(b.Context(), store.Tenant{Name: c.Tenant, Created: time.Now()}),
		kept.RegisterChain(b.Context(), c.Tenant, store.Registration{ID: c.ID, Agent: c.Agent, PublicKey: c.Public(), At: time.Now()}))
	if err != nil {
		b.Fatal(err)
	}
	var head store.Head
	for lines := range slices.Chunk(c.Lines, 1000) {
		batch := store.Batch{Chain: c.ID, After: head, Received: time.Now()}
		for _, line := range lines {
			r, err := receipts.Decode(line)
			if err != nil {
				b.Fatal(err)
			}
			batch.Records = append(batch.Records, store.NewRecord(r, line, batch.Received))
			if receipt, ok := r.(*receipts.Receipt); ok {
				ids = append(ids, receipt.ReceiptID)
			}
		}
		known, err := kept.Append(b.Context(), c.Tenant, &batch)
		if err != nil {
			b.Fatal(err)
		}
		head = known.Head
	}
	return ids
}
