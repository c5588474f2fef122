package storetest

import (
	"errors"
	"sync"
	"testing"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
)

// What a tenant keeps is counted to the byte, and ends where it may keep no more:
// of what does not fit nothing is stored, and it fits when the quota is raised.
func testQuota(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, "beta")
	_, err := s.Stored(ctx, "gamma")
	wantError(t, "storage of no tenant", err, store.ErrNotFound)
	wantError(t, "quota of no tenant", s.SetQuota(ctx, "gamma", 1), store.ErrNotFound)
	same(t, "nothing", get(s.Stored(ctx, "acme"))(t), store.Stored{})

	c := register(t, s, "a", day)
	c.Exchanges(20)
	first, second := Batch(t, c.Lines[:11], day), Batch(t, c.Lines[11:], day)
	must1(t)(s.Append(ctx, "acme", first))
	kept := store.Stored{Bytes: first.Size(), Quota: first.Size() + second.Size() - 1}
	must(t, s.SetQuota(ctx, "acme", kept.Quota))
	must(t, s.SetQuota(ctx, "beta", 1)) // of its own

	var over *store.QuotaError
	if _, err := s.Append(ctx, "acme", second); !errors.As(err, &over) || over.Quota != kept.Quota {
		t.Fatalf("a batch that does not fit: %v", err)
	}
	same(t, "storage", get(s.Stored(ctx, "acme"))(t), kept)
	same(t, "head", get(s.Chain(ctx, "acme", c.ID))(t).Head.Seq, 11)
	same(t, "records", len(get(s.Range(ctx, "acme", c.ID, 1, 0))(t)), 11)
	same(t, "exchanges", total(t, s, "acme").Exchanges, 10)

	// Evidence is counted once, and never refused.
	fork := store.Fork{Chain: c.ID, Seq: 1, Hash: c.Head().ReceiptHash, Known: c.Head().ReceiptHash, Line: c.Lines[1], Received: day}
	must(t, s.AddFork(ctx, "acme", fork))
	must(t, s.AddFork(ctx, "acme", fork))
	kept.Bytes += int64(len(fork.Line))
	same(t, "storage with evidence", get(s.Stored(ctx, "acme"))(t), kept)

	kept.Quota = kept.Bytes + second.Size()
	must(t, s.SetQuota(ctx, "acme", kept.Quota))
	must1(t)(s.Append(ctx, "acme", second)) // to the last byte
	kept.Bytes = kept.Quota
	same(t, "storage at the quota", get(s.Stored(ctx, "acme"))(t), kept)
	must(t, s.SetQuota(ctx, "acme", 1)) // below what is there: it stays
	same(t, "storage above the quota", get(s.Stored(ctx, "acme"))(t).Bytes, kept.Bytes)
	must(t, s.SetQuota(ctx, "acme", 0))
	c.Exchanges(1)
	must1(t)(s.Append(ctx, "acme", Batch(t, c.Lines[21:], day)))
	same(t, "of another tenant", get(s.Stored(ctx, "beta"))(t), store.Stored{Quota: 1})
}

// Of chains that share a quota, as many are stored as it has room for, whoever
// comes at once.
func testSharedQuota(t *testing.T, s store.Store) {
	const room = 3
	all := make([]*chains.Chain, 2*room)
	var size int64
	for i := range all {
		all[i] = register(t, s, "a", day)
		all[i].Exchanges(2)
		size = max(size, Batch(t, all[i].Lines, day).Size())
	}
	must(t, s.SetQuota(t.Context(), "acme", room*size))
	var group sync.WaitGroup
	results := make(chan error, len(all))
	for _, c := range all {
		b := Batch(t, c.Lines, day)
		group.Go(func() {
			_, err := s.Append(t.Context(), "acme", b)
			results <- err
		})
	}
	group.Wait()
	close(results)
	stored := 0
	for err := range results {
		var over *store.QuotaError
		switch {
		case err == nil:
			stored++
		case !errors.As(err, &over):
			t.Errorf("append: %v", err)
		}
	}
	same(t, "chains that are stored", stored, room)
}
