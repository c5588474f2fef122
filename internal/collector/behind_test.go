package collector_test

import (
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/ingest"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
)

// A chain moves under a stream when another one brings records, here or at another
// replica. Nothing is missing then, and nobody is asked for it.
func TestStreamsBehindTheStore(t *testing.T) { onEach(t, testStreamsBehindTheStore) }

func testStreamsBehindTheStore(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(29)
	one, two := w.open(cert, c.ID), w.open(cert, c.ID)
	one.acked(headOf(t, c.Lines[4]), c.Lines[:5]...)
	two.acked(headOf(t, c.Lines[14]), c.Lines[:15]...)
	one.acked(headOf(t, c.Lines[19]), c.Lines[15:20]...)
	if known, err := w.store.Chain(t.Context(), "acme", c.ID); err != nil || !known.Gap.IsZero() {
		t.Errorf("the gap of a chain that has none is %s, %v", known.Gap, err)
	}

	// What one stream was asked for in vain, another brings.
	if next := one.ship(c.Lines[25:]...).GetGap().GetNextSeq(); next != 21 {
		t.Errorf("asked for seq %d", next)
	}
	watch := ingest.NewWatch(w.store, slog.New(slog.DiscardHandler), nil)
	if err := watch.Look(t.Context(), time.Now().Add(ingest.GapAfter+time.Second)); err != nil {
		t.Fatal(err)
	}
	w.wantAlarms(store.AlarmGap)
	two.acked(c.Head(), c.Lines[20:]...)
	w.wantAlarms()
	verifyStored(t, w.store, c)
}

// Two streams of a chain that goes on after its disk was put back: what the one
// knows of the records that were given up holds nobody up.
func TestStreamsAcrossARecovery(t *testing.T) { onEach(t, testStreamsAcrossARecovery) }

func testStreamsAcrossARecovery(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(19)
	before, after := w.open(cert, c.ID), w.open(cert, c.ID)
	before.acked(c.Head(), c.Lines...)
	back := c.Recover(12, c.Head().Chain.Seq)
	back.Exchanges(5)
	after.acked(back.Head(), back.Lines[12:]...)
	after.acked(back.Head(), back.Lines[6:]...) // stored, and with what is lost in the middle
	before.end()                                // which keeps what its verifier knows
	last := w.open(cert, c.ID)
	back.Exchanges(2)
	last.acked(back.Head(), back.Lines[18:]...)
	verifyStored(t, w.store, back)
	w.wantAlarms()
}

// A journal that goes on where records were lost that have never come forks its chain.
func TestForksOfLostRecords(t *testing.T) { onEach(t, testForksOfLostRecords) }

func testForksOfLostRecords(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(9)
	s := w.open(cert, c.ID)
	s.acked(c.Head(), c.Lines...)
	back := c.Recover(len(c.Lines), c.Head().Chain.Seq+5)
	s.acked(back.Head(), back.Lines[len(c.Lines):]...)
	c.Exchanges(2)
	s.beat(c.Heartbeat(time.Now()), api.Refusal_FORK)
	s.refused(api.Refusal_FORK, c.Lines[len(c.Lines)-2:]...)
	w.wantAlarms(store.AlarmFork)
}

// A key that came in with records that were given up signs nothing any more: the
// chain goes on with the one before.
func TestGivenUpKeys(t *testing.T) { onEach(t, testGivenUpKeys) }

func testGivenUpKeys(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(12)
	c.ChangeKey()
	c.Exchanges(3)
	s := w.open(cert, c.ID)
	s.acked(c.Head(), c.Lines...)
	s.beat(c.Heartbeat(time.Now()), 0)
	lost := c.Key
	c.Key = c.FirstKey
	back := c.Recover(10, c.Head().Chain.Seq)
	back.Exchanges(2)
	s.acked(back.Head(), back.Lines[10:]...)
	s.beat(back.Heartbeat(time.Now()), 0)
	keys, err := w.store.ChainKeys(t.Context(), "acme", c.ID)
	if err != nil || len(keys) != 1 {
		t.Errorf("the chain's keys are %v, %v", keys, err)
	}
	back.ChangeKey()
	back.Exchanges(2)
	s.acked(back.Head(), back.Lines[13:]...)
	s.beat(back.Heartbeat(time.Now()), 0)
	back.Key = lost
	s.beat(back.Heartbeat(time.Now()), api.Refusal_INVALID)

	// Whoever goes on with the journal that was given up has a key that was the chain's.
	old, foreign := c.Fork(len(c.Lines)), c.Fork(len(c.Lines))
	old.Key = lost
	old.Exchanges(1)
	s.refused(api.Refusal_FORK, old.Lines[len(c.Lines):]...)
	foreign.Key = chains.New("acme", "billing-agent", time.Now()).Key
	foreign.Exchanges(1)
	s.refused(api.Refusal_INVALID, foreign.Lines[len(c.Lines):]...)
	w.wantAlarms(store.AlarmFork, store.AlarmInvalid)
}

// Who opens a stream and says nothing is not waited for.
func TestSilentStreams(t *testing.T) { onEach(t, testSilentStreams) }

func testSilentStreams(t *testing.T, w *world) {
	w.limits.Hello = time.Nanosecond
	w.serve()
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	s := w.dial(cert)
	if response, err := s.Recv(); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a stream without Hello: %v, %v", response, err)
	}
	w.limits.Hello = 0
	w.serve()
	s = w.open(cert, c.ID)
	s.acked(c.Head(), c.Lines...)
}

// A sidecar has few connections: a new one ends the oldest, whose place it may be
// taking.
func TestConnectionsOfOneChain(t *testing.T) {
	w := start(t, cluster.Open(t))
	c, other := chains.New("acme", "billing-agent", time.Now()), chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	others := w.open(w.enrol(other), other.ID)
	var streams []*stream
	for range ingest.MaxConnections + 2 {
		streams = append(streams, w.open(cert, c.ID))
	}
	for i, s := range streams {
		if i >= 2 {
			s.acked(c.Head(), c.Lines...)
			continue
		}
		if response, err := s.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("stream %d of %d: %v, %v", i, len(streams), response, err)
		}
	}
	others.acked(other.Head(), other.Lines...)
}
