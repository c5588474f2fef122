package collector_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/ingest"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
)

// beat sends a heartbeat and waits until it was taken; want is the refusal, or 0.
func (s *stream) beat(document []byte, want api.Refusal_Code) {
	s.world.t.Helper()
	s.send(heartbeat(document))
	if want != 0 {
		if got := s.receive().GetRefusal(); got.GetCode() != want {
			s.world.t.Errorf("got %v, want %s", got, want)
		}
		return
	}
	// Heartbeats that are taken are not answered; what comes behind them is.
	s.send(batch([]byte("{}")))
	if got := s.receive().GetRefusal(); got.GetCode() != api.Refusal_INVALID {
		s.world.t.Errorf("got %v after a heartbeat", got)
	}
}

func TestHeartbeats(t *testing.T) { onEach(t, testHeartbeats) }

func testHeartbeats(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	s := w.open(cert, c.ID)
	c.Exchanges(5)
	early := c.Heartbeat(time.Now())
	fork := c.Fork(4)
	s.acked(c.Head(), c.Lines...)
	s.beat(early, 0)
	c.Exchanges(5)
	s.acked(c.Head(), c.Lines[6:]...)
	s.beat(early, 0) // made before what was shipped since
	c.Exchanges(1)
	s.beat(c.Heartbeat(time.Now().Add(-20*time.Second)), 0) // ahead of what was shipped
	chain, err := w.store.Chain(t.Context(), "acme", c.ID)
	if err != nil || chain.Beat.Seq != 12 || chain.Beat.Skew > -19*time.Second || chain.Beat.Skew < -10*time.Minute {
		t.Errorf("the heartbeat is %+v, %v", chain.Beat, err)
	}
	w.wantAlarms()
	s.beat(c.Heartbeat(time.Now().Add(time.Hour)), 0)
	w.wantAlarms(store.AlarmClock)
	s.beat(c.Heartbeat(time.Now()), 0)
	w.wantAlarms()

	// A sidecar that begins again behind what it has shipped was rolled back.
	s = w.open(cert, c.ID)
	s.beat(early, api.Refusal_ROLLBACK)
	fork.Exchanges(3)
	s.beat(fork.Heartbeat(time.Now()), api.Refusal_FORK)
	s.beat(chains.New("acme", "billing-agent", time.Now()).Heartbeat(time.Now()), api.Refusal_INVALID)
	w.wantAlarms(store.AlarmFork, store.AlarmRollback)
}

// Silence is an alarm, and so are records that do not come when they are asked for.
func TestWatch(t *testing.T) { onEach(t, testWatch) }

func testWatch(t *testing.T, w *world) {
	now := time.Now()
	watch := ingest.NewWatch(w.store, slog.New(slog.DiscardHandler), nil)
	look := func(after time.Duration) {
		t.Helper()
		if err := watch.Look(t.Context(), now.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	silent, stopped := chains.New("acme", "billing-agent", now), chains.New("acme", "billing-agent", now)
	cert := w.enrol(silent)
	s := w.open(w.enrol(stopped), stopped.ID)
	stopped.Stop()
	s.acked(stopped.Head(), stopped.Lines...)
	look(time.Minute)
	w.wantAlarms()
	look(ingest.SilentAfter + time.Minute)
	look(ingest.SilentAfter + 2*time.Minute)
	w.wantAlarms(store.AlarmSilent)
	s = w.open(cert, silent.ID)
	w.wantAlarms()

	silent.Exchanges(9)
	s.acked(headOf(t, silent.Lines[0]), silent.Lines[0])
	for range 2 {
		if next := s.ship(silent.Lines[5:]...).GetGap().GetNextSeq(); next != 2 {
			t.Errorf("asked for seq %d", next)
		}
	}
	look(ingest.GapAfter / 2)
	w.wantAlarms()
	look(ingest.GapAfter + time.Minute)
	w.wantAlarms(store.AlarmGap)
	s.acked(silent.Head(), silent.Lines[1:]...)
	w.wantAlarms()
}

// That records are lost counts, and is in the log, when the chain's key has signed
// it.
func TestForgedRecovery(t *testing.T) {
	w := start(t, open(t, "sqlite:"+filepath.Join(t.TempDir(), "collector.db")))
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(19)
	s := w.open(cert, c.ID)
	s.acked(c.Head(), c.Lines...)
	forger := c.Fork(12)
	forger.Key = chains.New("acme", "billing-agent", time.Now()).Key
	forged := forger.Recover(12, c.Head().Chain.Seq)
	for range 3 {
		s.refused(api.Refusal_INVALID, forged.Lines[12:]...)
	}
	if strings.Contains(w.log.String(), "has lost") || strings.Count(w.log.String(), "refused what a sidecar sent") != 1 {
		t.Errorf("the log has\n%s", w.log.String())
	}
	verifyStored(t, w.store, c)
}

// A sidecar whose disk was put back goes on when an operator says so. What it has
// lost stays, and what verifies is the chain without that.
func TestRecovery(t *testing.T) { onEach(t, testRecovery) }

func testRecovery(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	c.Exchanges(19)
	s := w.open(cert, c.ID)
	s.acked(c.Head(), c.Lines...)
	s.end()
	back := c.Recover(12, c.Head().Chain.Seq)
	back.Exchanges(5)
	s = w.open(cert, c.ID)
	s.acked(back.Head(), back.Lines[12:]...)
	s.acked(back.Head(), back.Lines[12:]...)
	back.Exchanges(3)
	s.acked(back.Head(), back.Lines[18:]...)
	verifyStored(t, w.store, back)
	if lost, err := w.store.Record(t.Context(), "acme", c.ID, 15); err != nil || lost.ReceiptID == "" {
		t.Errorf("a record that was given up is %+v, %v", lost, err)
	}

	// Records that nobody has, here or there, are missing because the event says so.
	before := back.Head().Chain.Seq
	further := back.Recover(len(back.Lines), before+30)
	further.Exchanges(2)
	s.acked(further.Head(), further.Lines[len(back.Lines):]...)
	verifyStored(t, w.store, further)
	w.wantAlarms()
	s.end()
	s = w.open(cert, c.ID) // and the next stream goes on
	further.Exchanges(1)
	s.acked(further.Head(), further.Lines[len(further.Lines)-1])
	verifyStored(t, w.store, further)
}
