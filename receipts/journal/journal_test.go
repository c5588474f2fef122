package journal

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/receipts"
)

func TestMain(m *testing.M) {
	if dir := childDir(); dir != "" {
		appendUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

var testKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func options(dir string) Options {
	return Options{
		Dir: dir, Key: testKey, Tenant: "acme", Agent: "billing-agent", Build: "v0.0.0-test", PolicyVersion: anyDigest,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), hooks: hooks{resume: time.Millisecond},
	}
}

// tester is a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
}

func open(t testing.TB, o Options) *Journal {
	t.Helper()
	j, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func closeJournal(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// crash lets go of the file as a kill would: no stop event, intents stay open.
func crash(t testing.TB, j *Journal) {
	t.Helper()
	j.err.Store(&UnavailableError{Path: j.path, Reason: "crashed by the test"})
	closeJournal(t, j)
}

func draft(trace string) *receipts.Receipt {
	return &receipts.Receipt{
		ReceiptID: NewReceiptID(), TraceID: trace, Tenant: "acme", Agent: "billing-agent", Outcome: receipts.Unknown, Count: 1,
		Policy: receipts.Policy{Allowed: true, Reason: "ok", Rule: "openai", Mode: "enforce", Version: anyDigest},
		Detail: &receipts.Detail{
			Started: time.Now(),
			Request: &receipts.Request{Protocol: "h1", Method: "POST", Scheme: "https", Host: "api.openai.com", Port: 443, Path: "/v1/chat/completions"},
			DNS:     &receipts.DNS{Resolver: "tls://9.9.9.9", Answers: []string{"192.0.2.1"}, CNAME: []string{}, TTL: 60},
		},
	}
}

// forward is what an exchange adds to its intent.
func forward(r *receipts.Receipt) *receipts.Receipt {
	status, size := int64(200), int64(5120)
	r.Outcome, r.Usage.VEX = receipts.Forwarded, 1
	r.Detail.DurationUS = 412_000
	r.Detail.Forwarded = &receipts.ForwardedTo{
		PinnedIP: "192.0.2.1", Port: 443, StatusCode: &status, ResponseDigest: anyDigest, ResponseSize: &size,
	}
	return r
}

func begin(t tester, j *Journal, r *receipts.Receipt) *receipts.Receipt {
	t.Helper()
	if err := j.Begin(r, ""); err != nil {
		t.Fatal(err)
	}
	return r
}

func finish(t tester, j *Journal, r *receipts.Receipt) {
	t.Helper()
	if err := j.Finish(r).Wait(); err != nil {
		t.Fatal(err)
	}
}

// chain is a verified chain: what it holds, in order.
type chain struct {
	receipts map[string]*receipts.Receipt
	kinds    []string // of events; "receipt" for receipts, "genesis"
}

type ranger interface {
	Range(ctx context.Context, from int64, fn func(seq int64, line []byte) error) error
}

// verify reads the whole chain and has it verified as a third party would.
func verify(t tester, from ranger) chain {
	t.Helper()
	keys, err := receipts.ParseJWKS(receipts.JWKS(publicOf(testKey)))
	if err != nil {
		t.Fatal(err)
	}
	c := chain{receipts: make(map[string]*receipts.Receipt)}
	v := receipts.NewVerifier(keys)
	err = from.Range(context.Background(), 1, func(seq int64, line []byte) error {
		if err := v.Add(line); err != nil {
			return fmt.Errorf("%w in %s", err, line)
		}
		rec, err := receipts.Decode(line)
		if err != nil {
			return err
		}
		switch rec := rec.(type) {
		case *receipts.Receipt:
			c.receipts[rec.ReceiptID] = rec
			c.kinds = append(c.kinds, "receipt")
		case *receipts.Event:
			c.kinds = append(c.kinds, string(rec.Event))
		default:
			c.kinds = append(c.kinds, "genesis")
		}
		if seq != int64(len(c.kinds)) {
			return fmt.Errorf("record %d is handed out as %d", len(c.kinds), seq)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Result(); err != nil {
		t.Fatal(err)
	}
	return c
}

func wantKinds(t testing.TB, c chain, want string) {
	t.Helper()
	if got := strings.Join(c.kinds, " "); got != want {
		t.Errorf("the chain is\n%s, want\n%s", got, want)
	}
}

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

// TestGroups has many goroutines share commits, and a follower read along.
func TestGroups(t *testing.T) {
	o := options(t.TempDir())
	seen := new(counter)
	o.Observer = seen
	j := open(t, o)
	const workers, each = 32, 20

	followed := make(chan []int64)
	go func() { followed <- follow(t, j, 2+workers*each) }()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				r := draft(fmt.Sprintf("trace-%d", w%5))
				if err := j.Begin(r, ""); err != nil {
					t.Error(err)
					return
				}
				if err := j.Finish(forward(r)).Wait(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if seqs := <-followed; !slices.IsSorted(seqs) || len(seqs) != 2+workers*each {
		t.Errorf("the follower saw %d records, in order: %t", len(seqs), slices.IsSorted(seqs))
	}
	c := verify(t, j)
	if len(c.receipts) != workers*each {
		t.Errorf("%d receipts, want %d", len(c.receipts), workers*each)
	}
	closeJournal(t, j)
	seen.check(t, workers*each, workers*each+2) // and start and stop
}

// follow reads records as they come, without a gap between waiting and reading.
func follow(t *testing.T, j *Journal, n int) (seqs []int64) {
	for next := int64(1); len(seqs) < n; {
		changed := j.Changed()
		err := j.Range(context.Background(), next, func(seq int64, _ []byte) error {
			seqs = append(seqs, seq)
			next = seq + 1
			return nil
		})
		if err != nil {
			t.Error(err)
			return seqs
		}
		if len(seqs) < n {
			<-changed
		}
	}
	return seqs
}

// counter is an Observer.
type counter struct {
	mu      sync.Mutex
	signed  int
	commits []CommitStats
}

func (c *counter) Signed(time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signed++
}

func (c *counter) Committed(s CommitStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commits = append(c.commits, s)
}

func (c *counter) check(t *testing.T, intents, records int) {
	t.Helper()
	var sum CommitStats
	for _, s := range c.commits {
		sum.Intents, sum.Records = sum.Intents+s.Intents, sum.Records+s.Records
		if s.Err != nil || s.Bytes <= 0 {
			t.Errorf("commit %+v", s)
		}
	}
	if sum.Intents != intents || sum.Records != records || c.signed != records+1 { // and the genesis
		t.Errorf("observed %d intents, %d records, %d signatures; want %d, %d, %d", sum.Intents, sum.Records, c.signed, intents, records, records+1)
	}
	if len(c.commits) >= intents+records {
		t.Errorf("%d commits for %d operations: none was shared", len(c.commits), intents+records)
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
