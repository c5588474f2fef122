package journal

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/signet-egress/signet/receipts"
)

func TestExchangesAreOnRecord(t *testing.T) {
	dir := t.TempDir()
	j := open(t, options(dir))
	r := begin(t, j, draft("t1"))
	if got := j.OpenIntents(); got != 1 {
		t.Errorf("%d open intents, want 1", got)
	}
	finish(t, j, forward(r))
	denied := draft("t1")
	denied.Outcome, denied.Policy.Allowed, denied.Policy.Reason = receipts.Denied, false, "HEL_HOST_NOT_ALLOWED"
	finish(t, j, denied)
	if denied.Hop != 2 || denied.PrevReceiptHash != r.ReceiptHash || denied.Chain.Prev != r.ReceiptHash {
		t.Errorf("the second receipt of a trace does not follow the first: %+v", denied)
	}
	posture := &receipts.Event{Event: receipts.EventPosture, Posture: &receipts.Posture{Name: "mode", Value: "report"}}
	if err := j.Event(posture); err != nil {
		t.Fatal(err)
	}
	if head := j.Head(); head.Hash != posture.ReceiptHash || head.Seq != 5 || head.Chain != posture.Chain.ID {
		t.Errorf("the head is %+v, want the posture event", head)
	}
	wantKinds(t, verify(t, j), "genesis start receipt receipt posture")
	closeJournal(t, j)

	j = open(t, options(dir))
	defer closeJournal(t, j)
	c := verify(t, j)
	wantKinds(t, c, "genesis start receipt receipt posture stop start")
	if got := c.receipts[r.ReceiptID]; got.Outcome != receipts.Forwarded || got.Detail.Forwarded.PinnedIP != "192.0.2.1" {
		t.Errorf("the receipt is %+v", got)
	}
	next := draft("t1")
	finish(t, j, next)
	if next.Hop != 3 || next.PrevReceiptHash != denied.ReceiptHash {
		t.Errorf("after a restart the trace goes on with hop %d after %s", next.Hop, next.PrevReceiptHash)
	}
}

func TestDissolve(t *testing.T) {
	j := open(t, options(t.TempDir()))
	defer closeJournal(t, j)
	tunnel := begin(t, j, draft("t"))
	inner := draft("t")
	if err := j.Begin(inner, tunnel.ReceiptID); err != nil {
		t.Fatal(err)
	}
	if got := j.OpenIntents(); got != 1 {
		t.Errorf("%d open intents, want the inner one only", got)
	}
	second := draft("t")
	if err := j.Begin(second, tunnel.ReceiptID); err != nil {
		t.Errorf("an intent dissolved before: %v", err)
	}
	finish(t, j, forward(inner))
	finish(t, j, forward(second))
	c := verify(t, j)
	if c.receipts[tunnel.ReceiptID] != nil || j.OpenIntents() != 0 {
		t.Error("the dissolved intent left something behind")
	}
}

func TestWhatACrashLeavesOpenBecomesUnknown(t *testing.T) {
	dir := t.TempDir()
	j := open(t, options(dir))
	done, left, dissolved := begin(t, j, draft("a")), begin(t, j, draft("a")), begin(t, j, draft("b"))
	inner := draft("b")
	inner.Usage.VEX = 1 // an intent has earned nothing
	if err := j.Begin(inner, dissolved.ReceiptID); err != nil {
		t.Fatal(err)
	}
	finish(t, j, forward(done))
	crash(t, j)

	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r.OpenIntents() != 2 {
		t.Errorf("the reader sees %d open intents, want 2", r.OpenIntents())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	j = open(t, options(dir))
	c := verify(t, j)
	wantKinds(t, c, "genesis start receipt gap receipt receipt start")
	for _, id := range []string{left.ReceiptID, inner.ReceiptID} {
		if got := c.receipts[id]; got == nil || got.Outcome != receipts.Unknown || got.Usage.VEX != 0 || got.Detail.DNS == nil {
			t.Errorf("the intent %s became %+v", id, got)
		}
	}
	if c.receipts[dissolved.ReceiptID] != nil {
		t.Error("a dissolved intent came back")
	}
	crash(t, j)
	j = open(t, options(dir))
	defer closeJournal(t, j)
	wantKinds(t, verify(t, j), "genesis start receipt gap receipt receipt start gap start")
}

func TestAnOpenIntentIsNoCleanStop(t *testing.T) {
	dir := t.TempDir()
	j := open(t, options(dir))
	begin(t, j, draft("t"))
	closeJournal(t, j)
	j = open(t, options(dir))
	defer closeJournal(t, j)
	wantKinds(t, verify(t, j), "genesis start gap receipt start")
}

func TestBadRecordsAreRefused(t *testing.T) {
	j := open(t, options(t.TempDir()))
	defer closeJournal(t, j)
	good := begin(t, j, draft("t"))
	for _, tt := range []struct {
		name string
		mar  func(*receipts.Receipt)
		want string
	}{
		{"id", func(r *receipts.Receipt) { r.ReceiptID = "1" }, "receipt_id"},
		{"trace", func(r *receipts.Receipt) { r.TraceID = "a b" }, "trace_id"},
		{"port", func(r *receipts.Receipt) { r.Detail.Request.Port = 0 }, "detail.request.port"},
		{"detail", func(r *receipts.Receipt) { r.Detail = nil }, "detail"},
		{"twice", func(r *receipts.Receipt) { r.ReceiptID = good.ReceiptID }, "open"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := draft("t")
			tt.mar(r)
			if err := j.Begin(r, ""); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Begin: %v, want an error that names %s", err, tt.want)
			}
			if tt.name == "twice" {
				return
			}
			if err := j.Finish(r).Wait(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Finish: %v, want an error that names %s", err, tt.want)
			}
		})
	}
	if err := j.Event(&receipts.Event{Event: "rumour"}); err == nil {
		t.Error("an unknown event was taken")
	}
	if got := j.OpenIntents(); got != 1 {
		t.Errorf("%d open intents, want 1", got)
	}
	finish(t, j, forward(good))
	wantKinds(t, verify(t, j), "genesis start receipt")
}

func TestMaxOpen(t *testing.T) {
	o := options(t.TempDir())
	o.MaxOpen = 2
	j := open(t, o)
	defer closeJournal(t, j)
	first := begin(t, j, draft("t"))
	begin(t, j, draft("t"))
	unavailable, ok := errors.AsType[*UnavailableError](j.Begin(draft("t"), ""))
	if !ok || unavailable.Full {
		t.Fatalf("Begin beyond MaxOpen: %v", unavailable)
	}
	finish(t, j, forward(first))
	begin(t, j, draft("t"))
}

func TestAfterClose(t *testing.T) {
	j := open(t, options(t.TempDir()))
	changed := j.Changed()
	closeJournal(t, j)
	closeJournal(t, j)
	<-changed
	<-j.Changed()
	_, ok := errors.AsType[*UnavailableError](j.Begin(draft("t"), ""))
	if !ok {
		t.Error("Begin after Close")
	}
	for name, err := range map[string]error{
		"Err": j.Err(), "Finish": j.Finish(draft("t")).Wait(),
		"Event": j.Event(&receipts.Event{Event: receipts.EventPosture, Posture: &receipts.Posture{Name: "mode", Value: "report"}}),
		"Range": j.Range(t.Context(), 1, func(int64, []byte) error { return nil }),
	} {
		if _, ok := errors.AsType[*UnavailableError](err); !ok {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func TestRangeFromTheMiddle(t *testing.T) {
	j := open(t, options(t.TempDir()))
	defer closeJournal(t, j)
	var commits []*Commit
	for range 2 * batchRecords {
		commits = append(commits, j.Finish(draft("t")))
	}
	for _, c := range commits {
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	n := int64(0)
	from := int64(700)
	if err := j.Range(t.Context(), from, func(seq int64, _ []byte) error {
		if seq != from+n {
			t.Fatalf("record %d after %d", seq, from+n-1)
		}
		n++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := j.Head().Seq - from + 1; n != want {
		t.Errorf("%d records, want %d", n, want)
	}
	enough := errors.New("enough")
	if err := j.Range(t.Context(), 1, func(int64, []byte) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the callback's error came back as %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Range(ctx, 1, func(int64, []byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled range: %v", err)
	}
	if err := j.Range(t.Context(), j.Head().Seq+1, func(int64, []byte) error { return enough }); err != nil {
		t.Errorf("a range beyond the head: %v", err)
	}
}
