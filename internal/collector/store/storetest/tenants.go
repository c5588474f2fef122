package storetest

import (
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
)

// What is one tenant's is not there for another, by whatever it is asked for.
func testTenants(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, "beta")
	all := population(t, s)
	a := all[0]
	must1(t)(s.Sequence(ctx, "acme", 1000, pile))
	must(t, s.AddFork(ctx, "acme", store.Fork{Chain: a.Chain, Seq: 1, Hash: a.Hash, Known: a.Hash, Line: a.Line, Received: day}))
	must1(t)(s.Raise(ctx, "acme", store.Alarm{ID: chains.UUID(), Kind: store.AlarmFork, Chain: a.Chain, Raised: day}))
	must(t, s.SaveVerifier(ctx, "acme", a.Chain, 1, []byte("state")))

	_, err := s.Receipt(ctx, "beta", a.ReceiptID)
	wantError(t, "receipt", err, store.ErrNotFound)
	_, err = s.Record(ctx, "beta", a.Chain, a.Seq)
	wantError(t, "record", err, store.ErrNotFound)
	_, err = s.Chain(ctx, "beta", a.Chain)
	wantError(t, "chain", err, store.ErrNotFound)
	_, err = s.Tile(ctx, "beta", 0, 0)
	wantError(t, "tile", err, store.ErrNotFound)
	_, err = s.LeafIndex(ctx, "beta", a.Chain, a.Seq)
	wantError(t, "leaf", err, store.ErrNotFound)
	_, _, err = s.Verifier(ctx, "beta", a.Chain)
	wantError(t, "verifier", err, store.ErrNotFound)
	wantError(t, "sign", s.Heard(ctx, "beta", a.Chain, day), store.ErrNotFound)
	wantError(t, "beat", s.Beat(ctx, "beta", a.Chain, store.Beat{At: day}), store.ErrNotFound)
	same(t, "receipts", len(get(s.Receipts(ctx, "beta", store.ReceiptQuery{Chain: a.Chain}))(t).Receipts), 0)
	same(t, "range", len(get(s.Range(ctx, "beta", a.Chain, 1, 0))(t)), 0)
	same(t, "hashes", len(get(s.Hashes(ctx, "beta", a.Chain, 1, 9))(t)), 0)
	same(t, "chains", len(get(s.ListChains(ctx, "beta", store.ChainQuery{}))(t)), 0)
	same(t, "keys", len(get(s.ChainKeys(ctx, "beta", a.Chain))(t)), 0)
	same(t, "spans", get(s.Spans(ctx, "beta", store.SpanQuery{From: day.Add(-time.Hour), To: day.Add(time.Hour)}))(t), store.SpanPage{})
	same(t, "usage", total(t, s, "beta"), store.Rollup{})
	same(t, "storage", get(s.Stored(ctx, "beta"))(t), store.Stored{})
	same(t, "queue", get(s.Waiting(ctx, "beta"))(t), store.Waiting{})
	same(t, "log", get(s.LogState(ctx, "beta"))(t), store.LogState{})
	must(t, s.AddCosignature(ctx, "acme", store.Cosignature{Size: 1, Witness: "a", Checkpoint: []byte("of 1"), Line: "line", At: day}))
	same(t, "cosignatures", len(get(s.Cosignatures(ctx, "beta"))(t)), 0)
	same(t, "entries", len(get(s.LogEntries(ctx, "beta", 0, 0))(t)), 0)
	same(t, "open alarms", len(get(s.OpenAlarms(ctx, "beta", []string{a.Chain}))(t)), 0)
	same(t, "alarms", len(get(s.ListAlarms(ctx, "beta", store.AlarmQuery{}))(t)), 0)
	same(t, "forks", len(get(s.Forks(ctx, "beta", ""))(t)), 0)

	// The same chain id is another chain.
	own := chains.New("beta", "b", day)
	own.ID = a.Chain
	must(t, s.RegisterChain(ctx, "beta", store.Registration{ID: a.Chain, Agent: "b", PublicKey: own.Public(), At: day}))
	same(t, "own chain", get(s.Chain(ctx, "beta", a.Chain))(t).Agent, "b")
	same(t, "the other", get(s.Chain(ctx, "acme", a.Chain))(t).Head.Seq, 41)
}
