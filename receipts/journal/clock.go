package journal

import "time"

// clock gives records their time: wall time in UTC and milliseconds that never
// decreases, and tells when the wall clock was set. One goroutine owns it.
type clock struct {
	now  func() (wall time.Time, mono time.Duration) // mono from any fixed point
	last time.Time                                   // newest stamp given out
	wall time.Time                                   // of the reading before
	mono time.Duration
}

// A step is a second more than the time that a clock being slewed (at most 500
// parts in a million, taken twice) can differ by.
const (
	stepLeast = time.Second
	slewShare = 1000
)

// readings turns one clock that gives both readings into two. A now without
// monotonic reading never shows a step.
func readings(now func() time.Time) func() (time.Time, time.Duration) {
	base := now()
	return func() (time.Time, time.Duration) {
		t := now()
		return t.Round(0), t.Sub(base)
	}
}

// newClock goes on after last, the time of the newest record.
func newClock(now func() (time.Time, time.Duration), last time.Time) *clock {
	c := &clock{now: now, last: last}
	c.wall, c.mono = now()
	return c
}

// behind is how far the wall clock is behind the newest stamp: a clock set back
// while nobody looked. It is 0 below a second.
func (c *clock) behind() time.Duration {
	if d := c.wall.Sub(c.last); d < -stepLeast {
		return d
	}
	return 0
}

// stamp is the time of the records that are sequenced now. step is how far the
// wall clock was set since the stamp before, negative for back, 0 for not.
func (c *clock) stamp() (ts time.Time, step time.Duration) {
	wall, mono := c.now()
	passed := mono - c.mono
	drift := wall.Sub(c.wall) - passed
	if drift.Abs() > stepLeast+passed/slewShare {
		step = drift
	}
	c.wall, c.mono = wall, mono
	if ts = wall.UTC().Truncate(time.Millisecond); ts.Before(c.last) {
		ts = c.last
	}
	c.last = ts
	return ts, step
}
