package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
)

// pile is a growth that only counts, and keeps the leaves in one tile.
func pile(_ context.Context, old store.LogState, leaves [][32]byte, tile func(int, int64) ([]byte, error)) (store.Growth, error) {
	data, err := tile(0, 0)
	if old.Size > 0 && err != nil {
		return store.Growth{}, err
	}
	data = bytes.Clone(data)
	for _, leaf := range leaves {
		data = append(data, leaf[:]...)
	}
	state := store.LogState{Size: old.Size + int64(len(leaves)), Root: sha256.Sum256(data), Checkpoint: []byte("signed"), At: day}
	return store.Growth{State: state, Tiles: []store.Tile{{Data: data}}}, nil
}

func testLog(t *testing.T, s store.Store) {
	ctx := t.Context()
	same(t, "empty", get(s.LogState(ctx, "acme"))(t), store.LogState{})
	_, err := s.Tile(ctx, "acme", 0, 0)
	wantError(t, "no tile", err, store.ErrNotFound)
	same(t, "nothing to take", get(s.Sequence(ctx, "acme", 100, pile))(t), 0)

	a, b := register(t, s, "a", day), register(t, s, "b", day)
	a.Exchanges(9)
	b.Exchanges(4)
	must1(t)(s.Append(ctx, "acme", Batch(t, a.Lines[:6], day)))
	must1(t)(s.Append(ctx, "acme", Batch(t, b.Lines, day.Add(time.Minute))))
	must1(t)(s.Append(ctx, "acme", Batch(t, a.Lines[6:], day)))
	same(t, "waiting", get(s.Waiting(ctx, "acme"))(t), store.Waiting{Records: 15, Since: day})
	same(t, "taken", get(s.Sequence(ctx, "acme", 8, pile))(t), 6)
	same(t, "still waiting", get(s.Waiting(ctx, "acme"))(t), store.Waiting{Records: 9, Since: day.Add(time.Minute)})
	_, err = s.LeafIndex(ctx, "acme", b.ID, 1)
	wantError(t, "not logged", err, store.ErrNotFound)
	failure := errors.New("any")
	_, err = s.Sequence(ctx, "acme", 100, func(context.Context, store.LogState, [][32]byte, func(int, int64) ([]byte, error)) (store.Growth, error) {
		return store.Growth{}, failure
	})
	wantError(t, "a failed growth", err, failure)
	same(t, "taken", get(s.Sequence(ctx, "acme", 100, pile))(t), 9)
	same(t, "no more waiting", get(s.Waiting(ctx, "acme"))(t), store.Waiting{})

	lines := slices.Concat(a.Lines[:6], b.Lines, a.Lines[6:])
	leaves := get(s.LogEntries(ctx, "acme", 0, 100))(t)
	tile := get(s.Tile(ctx, "acme", 0, 0))(t)
	for i, line := range lines {
		r, err := receipts.Decode(line)
		must(t, err)
		place := r.RecordHead().Chain
		same(t, "index", get(s.LeafIndex(ctx, "acme", place.ID, place.Seq))(t), int64(i))
		want := sha256.Sum256(receipts.AppendCore(nil, r))
		same(t, "entry", leaves[i], store.Leaf{Hash: want, Chain: place.ID, Seq: place.Seq})
		same(t, "in the tile", tile[32*i:32*i+32], want[:])
	}
	same(t, "entries from within", get(s.LogEntries(ctx, "acme", 4, 5))(t), leaves[4:9])
	same(t, "entries behind the end", get(s.LogEntries(ctx, "acme", 15, 5))(t), nil)
	state := get(s.LogState(ctx, "acme"))(t)
	same(t, "state", state, store.LogState{Size: 15, Root: sha256.Sum256(tile), Checkpoint: []byte("signed"), At: day})
}

// What is kept of cosignatures is each that one who asks for some witnesses could
// want: the largest tree that they all have cosigned.
func testCosignatures(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, "beta")
	same(t, "none", get(s.Cosignatures(ctx, "acme"))(t), nil)
	of := func(size int64, witness string) store.Cosignature {
		return store.Cosignature{Size: size, Witness: witness, Checkpoint: fmt.Appendf(nil, "of %d", size), Line: "— " + witness + " AAAA", At: day.Add(time.Duration(size) * time.Second)}
	}
	add := func(c store.Cosignature, want ...store.Cosignature) {
		t.Helper()
		must(t, s.AddCosignature(ctx, "acme", c))
		same(t, fmt.Sprintf("after %s of %d", c.Witness, c.Size), get(s.Cosignatures(ctx, "acme"))(t), want)
	}
	add(of(5, "a"), of(5, "a"))
	add(of(5, "b"), of(5, "b"), of(5, "a"))
	add(of(7, "a"), of(7, "a"), of(5, "b"), of(5, "a"))
	add(of(9, "a"), of(9, "a"), of(5, "b"), of(5, "a"))
	add(of(9, "c"), of(9, "c"), of(9, "a"), of(5, "b"), of(5, "a"))
	again := of(9, "a")
	again.Line, again.At = "— a BBBB", day
	add(again, of(9, "c"), again, of(5, "b"), of(5, "a"))
	add(of(8, "b"), of(9, "c"), again, of(8, "b"), of(5, "b"), of(5, "a"))
	add(of(3, "c"), of(9, "c"), again, of(8, "b"), of(5, "b"), of(5, "a"))
	add(of(9, "b"), of(9, "c"), of(9, "b"), again)
	same(t, "of another tenant", get(s.Cosignatures(ctx, "beta"))(t), nil)
}

// An alarm of no chain is about the log, of which a tenant has one.
func testLogAlarms(t *testing.T, s store.Store) {
	t.Helper()
	ctx := t.Context()
	create(t, s, "beta")
	first := store.Alarm{ID: chains.UUID(), Kind: store.AlarmWitness, Message: "one", Raised: day}
	again := store.Alarm{ID: chains.UUID(), Kind: store.AlarmWitness, Message: "two", Raised: day.Add(time.Hour)}
	same(t, "of the log", get(s.Raise(ctx, "acme", first))(t), true)
	same(t, "of the log again", get(s.Raise(ctx, "acme", again))(t), false)
	first.Last, first.Message = again.Raised, "two"
	open := get(s.ListAlarms(ctx, "acme", store.AlarmQuery{Open: true, Limit: 1}))(t)
	same(t, "open of the log", open, []store.Alarm{first})
	must(t, s.Clear(ctx, "beta", "", store.AlarmWitness, day))
	must(t, s.Clear(ctx, "acme", "", store.AlarmFork, day))
	same(t, "still open", get(s.ListAlarms(ctx, "acme", store.AlarmQuery{Open: true, Limit: 1}))(t), open)
	must(t, s.Clear(ctx, "acme", "", store.AlarmWitness, day))
	first.Cleared = day
	same(t, "cleared", get(s.ListAlarms(ctx, "acme", store.AlarmQuery{Limit: 1}))(t), []store.Alarm{first})
}

func testAlarms(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := register(t, s, "a", day)
	first := store.Alarm{ID: chains.UUID(), Kind: store.AlarmSilent, Chain: c.ID, Message: "one", Raised: day}
	again := store.Alarm{ID: chains.UUID(), Kind: store.AlarmSilent, Chain: c.ID, Seq: 2, Message: "two", Raised: day.Add(time.Minute)}
	other := store.Alarm{ID: chains.UUID(), Kind: store.AlarmFork, Chain: c.ID, Seq: 3, Message: "three", Raised: day}
	same(t, "new", get(s.Raise(ctx, "acme", first))(t), true)
	same(t, "again", get(s.Raise(ctx, "acme", again))(t), false)
	same(t, "another kind", get(s.Raise(ctx, "acme", other))(t), true)
	first.Last, first.Seq, first.Message, other.Last = again.Raised, 2, "two", day
	same(t, "alarms", get(s.ListAlarms(ctx, "acme", store.AlarmQuery{Open: true}))(t), []store.Alarm{other, first})
	elsewhere := store.Alarm{ID: chains.UUID(), Kind: store.AlarmFork, Chain: register(t, s, "a", day).ID, Message: "four", Raised: day, Last: day}
	same(t, "of another chain", get(s.Raise(ctx, "acme", elsewhere))(t), true)
	openOf := func(chains ...string) []store.Alarm { return get(s.OpenAlarms(ctx, "acme", chains))(t) }
	same(t, "of two chains", openOf(c.ID, elsewhere.Chain), []store.Alarm{elsewhere, other, first})
	same(t, "of one chain", openOf(c.ID, "' OR 1=1 --"), []store.Alarm{other, first})
	same(t, "of no chain", openOf(), nil)
	must(t, s.Clear(ctx, "acme", elsewhere.Chain, store.AlarmFork, day))
	same(t, "of one that is cleared", openOf(elsewhere.Chain), nil)
	must(t, s.Clear(ctx, "acme", c.ID, store.AlarmSilent, day.Add(time.Hour)))
	must(t, s.Clear(ctx, "acme", c.ID, store.AlarmGap, day))
	first.Cleared = day.Add(time.Hour)
	same(t, "open", get(s.ListAlarms(ctx, "acme", store.AlarmQuery{Open: true}))(t), []store.Alarm{other})
	same(t, "after", get(s.ListAlarms(ctx, "acme", store.AlarmQuery{Chain: c.ID, After: other.ID}))(t), []store.Alarm{first})
	again.ID = chains.UUID()
	same(t, "raised anew", get(s.Raise(ctx, "acme", again))(t), true)

	testLogAlarms(t, s)

	c.Exchanges(150)
	for i, line := range c.Lines {
		hash := receipts.Hash(core(t, line))
		f := store.Fork{Chain: c.ID, Seq: int64(i + 1), Hash: hash, Known: hash, Line: line, Received: day.Add(time.Duration(i) * time.Second)}
		must(t, s.AddFork(ctx, "acme", f))
		must(t, s.AddFork(ctx, "acme", f))
	}
	forks := get(s.Forks(ctx, "acme", c.ID))(t)
	same(t, "forks", len(forks), 100)
	same(t, "newest fork", forks[0].Seq, 100)
	same(t, "evidence", string(forks[99].Line), string(c.Lines[0]))
}
