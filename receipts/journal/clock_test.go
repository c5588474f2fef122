package journal

import (
	"sync"
	"testing"
	"time"

	"github.com/signet-egress/signet/receipts"
)

// twoClocks is a wall clock that can be set, and a monotonic one.
type twoClocks struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Duration
}

func (c *twoClocks) read() (time.Time, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall, c.mono
}

func (c *twoClocks) pass(wall, mono time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.mono = c.wall.Add(wall), c.mono+mono
}

func TestClockSteps(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	clocks := &twoClocks{wall: noon}
	o := options(t.TempDir())
	o.hooks.clock = clocks.read
	j := open(t, o)
	for _, tt := range []struct {
		name       string
		wall, mono time.Duration
		step       time.Duration // of the event; 0 for none
		ts         time.Time
	}{
		{"both go on", time.Minute, time.Minute, 0, noon.Add(time.Minute)},
		{"a second off is none", 0, time.Second, 0, noon.Add(time.Minute)},
		{"slewed for a day", 24*time.Hour + 40*time.Second, 24 * time.Hour, 0, noon.Add(24*time.Hour + 100*time.Second)},
		{"set forward", time.Hour, time.Second, 3599 * time.Second, noon.Add(25*time.Hour + 100*time.Second)},
		{"set back", -time.Hour, 0, -time.Hour, noon.Add(25*time.Hour + 100*time.Second)}, // clamped
		{"still behind", time.Minute, time.Minute, 0, noon.Add(25*time.Hour + 100*time.Second)},
		{"caught up", 2 * time.Hour, 2 * time.Hour, 0, noon.Add(26*time.Hour + 160*time.Second)},
	} {
		clocks.pass(tt.wall, tt.mono)
		before := j.Head().Seq
		r := draft("t")
		finish(t, j, r)
		if !r.TS.Equal(tt.ts) {
			t.Errorf("%s: the time is %s, want %s", tt.name, r.TS, tt.ts)
		}
		step := time.Duration(0)
		if r.Chain.Seq == before+2 {
			step = stepAt(t, j, before+1)
		}
		if step != tt.step {
			t.Errorf("%s: a step of %s, want %s", tt.name, step, tt.step)
		}
	}
	closeJournal(t, j)

	clocks.pass(-3*time.Hour, time.Second)
	j = open(t, o)
	defer closeJournal(t, j)
	c := verify(t, j)
	if kinds := c.kinds[len(c.kinds)-2:]; kinds[0] != "clock_step" || kinds[1] != "start" {
		t.Errorf("a clock set back between runs: %v", kinds)
	}
}

func stepAt(t *testing.T, j *Journal, seq int64) (step time.Duration) {
	t.Helper()
	err := j.Range(t.Context(), seq, func(at int64, line []byte) error {
		rec, err := receipts.Decode(line)
		if e, ok := rec.(*receipts.Event); ok && at == seq && e.Event == receipts.EventClockStep {
			step = time.Duration(e.Clock.StepMS) * time.Millisecond
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return step
}

// TestClockWithoutMonotonicReading shows no steps, since it cannot.
func TestClockWithoutMonotonicReading(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c := newClock(readings(func() time.Time { return now }), time.Time{})
	now = now.Add(-time.Hour)
	if _, step := c.stamp(); step != 0 {
		t.Errorf("a step of %s", step)
	}
}
