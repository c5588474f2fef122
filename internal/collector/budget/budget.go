// Package budget holds each of those who ask to a number of things a second, in
// this replica.
package budget

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limit is what one of those who ask gets.
type Limit struct {
	PerSecond int // what comes back to the budget
	Burst     int // what it holds at most, and so the most that can be taken at once
}

// maxHolders bounds the table of those who ask. Where it is full the table starts
// again, which lets each of them have one more burst.
const maxHolders = 10_000

// Local is a budget for each of those who ask. It is safe for concurrent use.
type Local struct {
	limit Limit
	now   func() time.Time

	mu  sync.Mutex
	all map[string]*rate.Limiter
}

// NewLocal returns a Local in which every budget is full.
func NewLocal(limit Limit, now func() time.Time) *Local {
	return &Local{limit: limit, now: now, all: make(map[string]*rate.Limiter)}
}

// Limit is what each gets.
func (l *Local) Limit() Limit { return l.limit }

// Take takes n from the budget of who asks. Where there is less left it takes
// nothing, and says after how long there will be as much.
func (l *Local) Take(_ context.Context, who string, n int) (wait time.Duration) {
	now := l.now()
	r := l.of(who).ReserveN(now, n)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

func (l *Local) of(who string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.all[who]
	if b == nil {
		if len(l.all) >= maxHolders {
			clear(l.all)
		}
		b = rate.NewLimiter(rate.Limit(l.limit.PerSecond), l.limit.Burst)
		l.all[who] = b
	}
	return b
}
