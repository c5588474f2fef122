package storetest

import (
	"math"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
)

// aged is a chain of 60 records with a key change, of which the first 40 were made
// before day and came then; all are in the log.
func aged(t *testing.T, s store.Store) *chains.Chain {
	t.Helper()
	c := register(t, s, "a", day.Add(-41*time.Hour))
	c.Step = time.Hour
	c.Exchanges(19)
	c.ChangeKey()
	c.Exchanges(39)
	must1(t)(s.Append(t.Context(), "acme", Batch(t, c.Lines[:40], day.Add(-time.Minute))))
	must1(t)(s.Append(t.Context(), "acme", Batch(t, c.Lines[40:], day.Add(time.Hour))))
	must1(t)(s.Sequence(t.Context(), "acme", 1000, pile))
	must1(t)(s.Sequence(t.Context(), "acme", 1000, pile))
	return c
}

func size(lines [][]byte) (bytes int64) {
	for _, line := range lines {
		bytes += int64(len(line))
	}
	return bytes
}

func testRetention(t *testing.T, s store.Store) {
	ctx := t.Context()
	same(t, "no retention", get(s.Retention(ctx, "acme"))(t), store.Retention{})
	_, err := s.Retention(ctx, "nobody")
	wantError(t, "retention of nobody", err, store.ErrNotFound)
	wantError(t, "retention for nobody", s.SetRetention(ctx, "nobody", 1), store.ErrNotFound)
	must(t, s.SetRetention(ctx, "acme", 13))
	must(t, s.SetRetention(ctx, "acme", 2))
	same(t, "retention", get(s.Retention(ctx, "acme"))(t), store.Retention{Months: 2})
	must(t, s.SetRetention(ctx, "acme", 0))
	same(t, "no retention any more", get(s.Retention(ctx, "acme"))(t), store.Retention{})
}

// Records go from the beginning of their chain, batch by batch, and each
// transaction leaves everything as it must be.
func testPruning(t *testing.T, s store.Store) {
	ctx := t.Context()
	must(t, s.SetRetention(ctx, "acme", 2))
	c := aged(t, s)
	first := decoded(t, c.Lines[0]).RecordHead().TS
	old := get(s.OldChains(ctx, "acme", store.SinceQuery{To: day}))(t)
	same(t, "old chains", len(old), 1)
	same(t, "its oldest record", old[0].FirstTS, first)
	same(t, "chains that are old enough", len(get(s.OldChains(ctx, "acme", store.SinceQuery{To: first}))(t)), 0)
	usage, entries := total(t, s, "acme"), get(s.LogEntries(ctx, "acme", 0, 60))(t)
	all := get(s.Stored(ctx, "acme"))(t).Bytes

	p := store.Prune{Chain: c.ID, Before: day, Months: 2, At: day.Add(time.Hour), Limit: 30}
	rehearsal := p
	rehearsal.Rehearse = true
	same(t, "a rehearsal", get(s.Prune(ctx, "acme", rehearsal))(t), store.Pruned{Records: 30, Bytes: size(c.Lines[:30]), Last: 30, More: true})
	rehearsal.After = 30
	same(t, "and on", get(s.Prune(ctx, "acme", rehearsal))(t), store.Pruned{Records: 10, Bytes: size(c.Lines[30:40]), Last: 40})
	same(t, "nothing is gone", get(s.Stored(ctx, "acme"))(t).Bytes, all)
	same(t, "nothing is accounted for", get(s.Removals(ctx, "acme"))(t), nil)

	same(t, "pruned", get(s.Prune(ctx, "acme", p))(t), store.Pruned{Records: 30, Bytes: size(c.Lines[:30]), Last: 30, More: true})
	wantPruned(t, s, c, 30)
	p.At = p.At.Add(time.Hour)
	same(t, "pruned", get(s.Prune(ctx, "acme", p))(t), store.Pruned{Records: 10, Bytes: size(c.Lines[30:40]), Last: 40})
	wantPruned(t, s, c, 40)
	same(t, "no more to prune", get(s.Prune(ctx, "acme", p))(t), store.Pruned{})
	removal := store.Removal{
		Before: day, Months: 2, Records: 40, Bytes: size(c.Lines[:40]), First: first, Last: decoded(t, c.Lines[39]).RecordHead().TS, Began: day.Add(time.Hour), Ended: p.At,
	}
	same(t, "removals", get(s.Removals(ctx, "acme"))(t), []store.Removal{removal})
	same(t, "retention", get(s.Retention(ctx, "acme"))(t), store.Retention{Months: 2, Before: day})
	same(t, "usage", total(t, s, "acme"), usage)

	// The log stands, and what it says of the removed is where they were.
	for i := range entries[:40] {
		entries[i].Hash = [32]byte{}
	}
	same(t, "log entries", get(s.LogEntries(ctx, "acme", 0, 60))(t), entries)
	same(t, "log entries from within", get(s.LogEntries(ctx, "acme", 35, 10))(t), entries[35:45])
	same(t, "the place of a removed record", get(s.LeafIndex(ctx, "acme", c.ID, 7))(t), 6)

	testPrunedWhole(t, s, c)
}

// testPrunedWhole has a chain that was pruned go on, and go whole.
func testPrunedWhole(t *testing.T, s store.Store, c *chains.Chain) {
	t.Helper()
	ctx := t.Context()
	c.Exchanges(1)
	must1(t)(s.Append(ctx, "acme", Batch(t, c.Lines[60:], day.Add(2*time.Hour))))
	later := store.Prune{Chain: c.ID, Before: day.AddDate(1, 0, 0), Months: 1, At: day.AddDate(2, 0, 0)}
	same(t, "what the log lacks stays", get(s.Prune(ctx, "acme", later))(t).Last, 60)
	must1(t)(s.Sequence(ctx, "acme", 1000, pile))
	same(t, "then it goes", get(s.Prune(ctx, "acme", later))(t).Last, 61)
	wantPruned(t, s, c, 61)
	c.Exchanges(1)
	must1(t)(s.Append(ctx, "acme", Batch(t, c.Lines[61:], day.AddDate(2, 0, 0))))
	wantPruned(t, s, c, 61)
	must(t, s.Reclaim(ctx, day.AddDate(3, 0, 0)))
	wantPruned(t, s, c, 61)

	_, err := s.Prune(ctx, "acme", store.Prune{Chain: chains.UUID(), Before: day})
	wantError(t, "no such chain", err, store.ErrNotFound)
	create(t, s, "beta")
	_, err = s.Prune(ctx, "beta", later)
	wantError(t, "another tenant's chain", err, store.ErrNotFound)
}

// wantPruned wants a chain to be without its first n records, and everything to say so.
func wantPruned(t *testing.T, s store.Store, c *chains.Chain, n int64) {
	t.Helper()
	ctx := t.Context()
	known, last := get(s.Chain(ctx, "acme", c.ID))(t), decoded(t, c.Lines[n-1]).RecordHead()
	same(t, "pruned", known.Pruned, n)
	same(t, "anchor", known.Anchor, store.Head{Seq: n, Hash: last.ReceiptHash})
	same(t, "when the anchor was made", known.AnchorTS, last.TS)
	same(t, "newest of the pruned", known.PrunedTS, last.TS)
	same(t, "head", known.Head.Seq, int64(len(c.Lines)))
	left := get(s.Range(ctx, "acme", c.ID, 1, 1000))(t)
	same(t, "records that are left", len(left), len(c.Lines)-int(n))
	var kept int64
	for i := range left {
		same(t, "seq", left[i].Seq, n+int64(i)+1)
		kept += int64(len(left[i].Line))
	}
	if len(left) > 0 {
		same(t, "oldest record", known.FirstTS, left[0].TS)
	}
	same(t, "storage", get(s.Stored(ctx, "acme"))(t).Bytes, kept)
	_, err := s.Record(ctx, "acme", c.ID, n)
	wantError(t, "a record that is gone", err, store.ErrNotFound)
	if r, ok := decoded(t, c.Lines[n-1]).(*receipts.Receipt); ok {
		_, err = s.Receipt(ctx, "acme", r.ReceiptID)
		wantError(t, "a receipt that is gone", err, store.ErrNotFound)
	}
	for _, key := range get(s.ChainKeys(ctx, "acme", c.ID))(t) {
		introduced := string(c.Lines[key.IntroducedAt()-1])
		if key.IntroducedAt() > n {
			introduced = ""
		}
		same(t, "introduction of key "+key.KID, string(key.Introduced), introduced)
	}
	if n < int64(len(c.Lines)) {
		q := store.SpanQuery{From: time.Unix(0, 0), To: day.AddDate(10, 0, 0), Chain: c.ID}
		same(t, "spans", get(s.Spans(ctx, "acme", q))(t).Spans, []store.Span{{Chain: c.ID, First: n + 1, Last: int64(len(c.Lines))}})
	}
}

// Records that came late, or are behind one that did, stay; evidence does, and what
// was given up goes with the rest.
func testPruningStops(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := register(t, s, "a", day)
	c.Exchanges(29)
	for i, received := range []time.Time{day, day.AddDate(1, 0, 0), day} { // by a replica whose clock is behind
		b := Batch(t, c.Lines[10*i:10*i+10], received)
		if i == 1 {
			b.GivenUp = store.Span{First: 4, Last: 10}
		}
		must1(t)(s.Append(ctx, "acme", b))
	}
	evidence := store.Fork{Chain: c.ID, Seq: 2, Hash: c.Head().ReceiptHash, Line: c.Lines[1], Received: day}
	must(t, s.AddFork(ctx, "acme", evidence))
	p := store.Prune{Chain: c.ID, Before: day.AddDate(0, 6, 0), Months: 1, At: day.AddDate(2, 0, 0)}
	same(t, "before the log has them", get(s.Prune(ctx, "acme", p))(t), store.Pruned{})
	must1(t)(s.Sequence(ctx, "acme", 1000, pile))
	same(t, "up to those that came late", get(s.Prune(ctx, "acme", p))(t).Last, 10)
	same(t, "what is left follows a record that was not given up", get(s.Chain(ctx, "acme", c.ID))(t).Anchor.Seq, 3)
	same(t, "and no further", get(s.Prune(ctx, "acme", p))(t), store.Pruned{})
	same(t, "records", get(s.Range(ctx, "acme", c.ID, 1, 1))(t)[0].Seq, 11)
	same(t, "evidence", get(s.Forks(ctx, "acme", c.ID))(t), []store.Fork{evidence})
	same(t, "storage", get(s.Stored(ctx, "acme"))(t).Bytes, size(c.Lines[10:])+int64(len(evidence.Line)))
	p.Before = day.AddDate(1, 6, 0)
	same(t, "the rest", get(s.Prune(ctx, "acme", p))(t).Last, 30)
	same(t, "old chains", len(get(s.OldChains(ctx, "acme", store.SinceQuery{To: time.UnixMilli(math.MaxInt32 * 1000)}))(t)), 0)
	removals := get(s.Removals(ctx, "acme"))(t)
	same(t, "removals", []int64{removals[0].Records, removals[1].Records}, []int64{20, 10})
}

func decoded(t *testing.T, line []byte) receipts.Record {
	t.Helper()
	r, err := receipts.Decode(line)
	must(t, err)
	return r
}
