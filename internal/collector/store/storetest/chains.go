package storetest

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
)

func testRegistration(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := register(t, s, "a", day)
	again := store.Registration{ID: c.ID, Agent: "a", PublicKey: c.Public(), At: day.Add(time.Hour)}
	must(t, s.RegisterChain(ctx, "acme", again))
	other := again
	other.PublicKey = chains.New("acme", "a", day).Public()
	wantError(t, "another key", s.RegisterChain(ctx, "acme", other), store.ErrExists)
	got := get(s.Chain(ctx, "acme", c.ID))(t)
	same(t, "chain", got, store.Chain{ID: c.ID, Agent: "a", KID: receipts.KeyID(c.Public()), PublicKey: c.Public(), Registered: day, LastSign: day})
	for _, id := range []string{chains.UUID(), "", "no uuid", c.ID[:35] + "'"} {
		_, err := s.Chain(ctx, "acme", id)
		wantError(t, "chain "+id, err, store.ErrNotFound)
	}
}

func testAppend(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := register(t, s, "a", day)
	c.Exchanges(4)
	c.ChangeKey()
	c.Exchanges(4)
	c.Stop()
	received := day.Add(time.Second)
	first, second := Batch(t, c.Lines[:5], received), Batch(t, c.Lines[5:], received)
	first.Build = "v1"

	var moved *store.HeadMovedError
	if _, err := s.Append(ctx, "acme", second); !errors.As(err, &moved) || moved.Chain.Head.Seq != 0 {
		t.Fatalf("a batch with a hole before it: %v", err)
	}
	must1(t)(s.Append(ctx, "acme", first))
	if _, err := s.Append(ctx, "acme", first); !errors.As(err, &moved) || moved.Chain.Head.Seq != 5 {
		t.Fatalf("the same batch again: %v", err)
	}
	head := store.Head{Seq: 5, Hash: moved.Chain.Head.Hash}
	must(t, s.NoteGap(ctx, "acme", c.ID, head, day))
	must(t, s.NoteGap(ctx, "acme", c.ID, head, day.Add(time.Hour)))
	if err := s.NoteGap(ctx, "acme", c.ID, store.Head{}, day); !errors.As(err, &moved) || moved.Chain.Head != head {
		t.Fatalf("a gap behind another head: %v", err)
	}
	same(t, "gap", get(s.Chain(ctx, "acme", c.ID))(t).Gap, day)
	after := get(s.Append(ctx, "acme", second))(t)
	want := store.Chain{
		ID: c.ID, Agent: "a", Build: "v1", KID: receipts.KeyID(c.Public()), PublicKey: c.Public(), Registered: day,
		Head: store.Head{Seq: 11, Hash: c.Head().ReceiptHash}, HeadTS: c.Head().TS, Received: received, LastSign: received, CleanStop: true, FirstTS: day,
	}
	got := get(s.Chain(ctx, "acme", c.ID))(t)
	same(t, "chain", got, want)
	same(t, "returned chain", after, want)
	same(t, "keys", len(get(s.ChainKeys(ctx, "acme", c.ID))(t)), 2)

	hashes := get(s.Hashes(ctx, "acme", c.ID, 5, 100))(t)
	same(t, "hashes", len(hashes), 7)
	same(t, "hash", hashes[11], c.Head().ReceiptHash)
	lines := get(s.Range(ctx, "acme", c.ID, 4, 5))(t)
	for i, want := range c.Lines[3:8] {
		if !bytes.Equal(lines[i].Line, want) {
			t.Errorf("line %d is %s", i, lines[i].Line)
		}
	}
	if _, err := s.Append(ctx, "acme", Batch(t, chains.New("acme", "a", day).Lines, day)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a chain that is not registered: %v", err)
	}

	_, _, err := s.Verifier(ctx, "acme", c.ID)
	wantError(t, "no verifier", err, store.ErrNotFound)
	must(t, s.SaveVerifier(ctx, "acme", c.ID, 5, []byte("five")))
	must(t, s.SaveVerifier(ctx, "acme", c.ID, 4, []byte("four")))
	seq, state, err := s.Verifier(ctx, "acme", c.ID)
	if seq != 5 || string(state) != "five" || err != nil {
		t.Errorf("the verifier is %d %q, %v", seq, state, err)
	}
}

// What was given up is passed over, wherever a page begins or ends.
func testGivenUp(t *testing.T, s store.Store) {
	c := register(t, s, "a", day)
	c.Exchanges(19)
	give := func(lines [][]byte, lost store.Span) {
		t.Helper()
		b := Batch(t, lines, day)
		b.GivenUp = lost
		must1(t)(s.Append(t.Context(), "acme", b))
	}
	seqs := func(from int64, limit int) (seqs []int64) {
		t.Helper()
		found := get(s.Range(t.Context(), "acme", c.ID, from, limit))(t)
		for i := range found {
			seqs = append(seqs, found[i].Seq)
		}
		return seqs
	}
	give(c.Lines[:10], store.Span{})
	give(c.Lines[10:14], store.Span{First: 8, Last: 10})
	same(t, "a page that ends before", seqs(6, 2), []int64{6, 7})
	same(t, "a page over it", seqs(6, 4), []int64{6, 7, 11, 12})
	same(t, "a page from within", seqs(9, 2), []int64{11, 12})
	same(t, "all", seqs(1, 0), []int64{1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14})
	give(c.Lines[14:16], store.Span{First: 13, Last: 14})
	give(c.Lines[16:], store.Span{First: 7, Last: 16}) // which has the others in it
	same(t, "after the second", seqs(1, 0), []int64{1, 2, 3, 4, 5, 6, 17, 18, 19, 20})
	same(t, "within both", seqs(13, 3), []int64{17, 18, 19})
	same(t, "behind the head", seqs(21, 3), nil)
	same(t, "a record that was given up", get(s.Record(t.Context(), "acme", c.ID, 9))(t).Seq, 9)
}

// Of all who append the same records at once, one does.
func testRace(t *testing.T, s store.Store) {
	c := register(t, s, "a", day)
	c.Exchanges(20)
	b := Batch(t, c.Lines, day)
	var group sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		group.Go(func() {
			_, err := s.Append(t.Context(), "acme", b)
			results <- err
		})
	}
	group.Wait()
	close(results)
	done := 0
	for err := range results {
		var moved *store.HeadMovedError
		switch {
		case err == nil:
			done++
		case !errors.As(err, &moved):
			t.Errorf("append: %v", err)
		}
	}
	same(t, "appended", done, 1)
	same(t, "records", len(get(s.Range(t.Context(), "acme", c.ID, 1, 0))(t)), 21)
	same(t, "exchanges", total(t, s, "acme").Exchanges, 20)
}

// Batches of many chains that come at once each have their own outcome: the good
// ones are stored, whoever they were committed with.
func testCrowd(t *testing.T, s store.Store) {
	const each = 10
	unknown := chains.New("acme", "a", day)
	var group sync.WaitGroup
	start := make(chan struct{})
	try := func(b *store.Batch, right func(err error) bool) {
		group.Go(func() {
			<-start
			if after, err := s.Append(t.Context(), "acme", b); !right(err) || err == nil && after.Head.Seq != b.Records[len(b.Records)-1].Seq {
				t.Errorf("append to chain %s: %+v, %v", b.Chain, after.Head, err)
			}
		})
	}
	var good []*chains.Chain
	var size int64
	for range each {
		c := register(t, s, "a", day)
		c.Exchanges(2)
		good = append(good, c)
		b := Batch(t, c.Lines, day)
		size += b.Size()
		try(b, func(err error) bool { return err == nil })

		ahead := register(t, s, "a", day)
		ahead.Exchanges(2)
		try(Batch(t, ahead.Lines[1:], day), isMoved)

		broken := register(t, s, "a", day)
		b = Batch(t, broken.Lines, day)
		b.Records[0].Hash = "no hash"
		try(b, func(err error) bool { return err != nil && !isMoved(err) })
	}
	try(Batch(t, unknown.Lines, day), func(err error) bool { return errors.Is(err, store.ErrNotFound) })
	close(start)
	group.Wait()
	for _, c := range good {
		same(t, "head", get(s.Chain(t.Context(), "acme", c.ID))(t).Head, store.Head{Seq: 3, Hash: c.Head().ReceiptHash})
		same(t, "records", len(get(s.Range(t.Context(), "acme", c.ID, 1, 0))(t)), 3)
	}
	same(t, "exchanges", total(t, s, "acme").Exchanges, 2*each)
	same(t, "storage", get(s.Stored(t.Context(), "acme"))(t).Bytes, size)
}

func isMoved(err error) bool { return errors.As(err, new(*store.HeadMovedError)) }

// A seq is taken once, whatever the month of its ts.
func testMonths(t *testing.T, s store.Store) {
	ctx := t.Context()
	must(t, s.Maintain(ctx, day))
	c := register(t, s, "a", day.Add(11*time.Hour+29*time.Minute+59*time.Second))
	c.Step = time.Second
	c.Exchanges(3) // 23:59:59 on the last of February, and then March
	fork := c.Fork(1)
	appendAll(t, s, c)
	fork.Now = day
	fork.Exchanges(2)
	var moved *store.HeadMovedError
	if _, err := s.Append(ctx, "acme", Batch(t, fork.Lines[1:], day)); !errors.As(err, &moved) {
		t.Fatalf("a fork into another month: %v", err)
	}
	same(t, "hash", get(s.Hashes(ctx, "acme", c.ID, 2, 2))(t)[2], receipts.Hash(core(t, c.Lines[1])))
	same(t, "records", len(get(s.Range(ctx, "acme", c.ID, 1, 0))(t)), 4)

	// Clocks may say anything; the years 1970 and 9999 are records' limits.
	for _, at := range []time.Time{time.Unix(60, 0), time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC)} {
		far := register(t, s, "a", at)
		far.Exchanges(2)
		appendAll(t, s, far)
		got := get(s.Record(ctx, "acme", far.ID, 3))(t)
		same(t, "ts", got.TS, far.Head().TS)
	}
	must(t, s.Maintain(ctx, time.Unix(0, 0)))
}

func core(t *testing.T, line []byte) []byte {
	t.Helper()
	r, err := receipts.Decode(line)
	must(t, err)
	return receipts.AppendCore(nil, r)
}

func testSilence(t *testing.T, s store.Store) {
	ctx := t.Context()
	never, stopped, alive := register(t, s, "a", day), register(t, s, "a", day), register(t, s, "a", day)
	stopped.Stop()
	appendAll(t, s, stopped)
	beat := store.Beat{At: day.Add(10 * time.Minute), Seq: 1, Skew: -1500 * time.Millisecond}
	must(t, s.Beat(ctx, "acme", alive.ID, beat))
	got := get(s.Chain(ctx, "acme", alive.ID))(t)
	same(t, "beat", got.Beat, beat)
	same(t, "last sign", got.LastSign, beat.At)
	silent := func(q store.SinceQuery) []string { return ids(get(s.SilentChains(ctx, "acme", q))(t)) }
	hour := day.Add(time.Hour)
	same(t, "silent", silent(store.SinceQuery{To: day.Add(5 * time.Minute)}), []string{never.ID})
	same(t, "silent since", silent(store.SinceQuery{From: day.Add(5 * time.Minute), To: hour}), []string{alive.ID})
	same(t, "the one longest silent", silent(store.SinceQuery{To: hour, Limit: 1}), []string{never.ID})
	same(t, "the next", silent(store.SinceQuery{From: day, After: never.ID, To: hour}), []string{alive.ID})
	same(t, "all again", silent(store.SinceQuery{From: day, To: hour}), []string{never.ID, alive.ID})
	same(t, "after no id", silent(store.SinceQuery{From: day, After: "' OR 1=1 --", To: hour}), nil)

	gaps := func(q store.SinceQuery) []string { return ids(get(s.GapChains(ctx, "acme", q))(t)) }
	must(t, s.NoteGap(ctx, "acme", alive.ID, get(s.Chain(ctx, "acme", alive.ID))(t).Head, day))
	must(t, s.NoteGap(ctx, "acme", never.ID, store.Head{}, day.Add(time.Second)))
	same(t, "gaps", gaps(store.SinceQuery{To: day.Add(time.Minute)}), []string{alive.ID, never.ID})
	same(t, "older gaps", gaps(store.SinceQuery{To: day.Add(time.Second)}), []string{alive.ID})
	same(t, "the next gap", gaps(store.SinceQuery{From: day, After: alive.ID, To: day.Add(time.Minute)}), []string{never.ID})
	same(t, "chains", len(get(s.ListChains(ctx, "acme", store.ChainQuery{Limit: 2}))(t)), 2)
	newest := get(s.ListChains(ctx, "acme", store.ChainQuery{Agent: "a", After: alive.ID}))(t)
	same(t, "after", newest[0].ID, stopped.ID)
	must1(t)(s.Raise(ctx, "acme", store.Alarm{ID: chains.UUID(), Kind: store.AlarmSilent, Chain: alive.ID, Raised: day}))
	must(t, s.Heard(ctx, "acme", alive.ID, day.Add(time.Hour)))
	same(t, "heard", get(s.Chain(ctx, "acme", alive.ID))(t).LastSign, day.Add(time.Hour))
	same(t, "heartbeat before", get(s.Chain(ctx, "acme", alive.ID))(t).Beat, beat)
	same(t, "silence", len(get(s.ListAlarms(ctx, "acme", store.AlarmQuery{Open: true}))(t)), 0)
	wantError(t, "no chain", s.Beat(ctx, "acme", chains.UUID(), beat), store.ErrNotFound)
}

func ids(found []store.Chain) (ids []string) {
	for i := range found {
		ids = append(ids, found[i].ID)
	}
	return ids
}
