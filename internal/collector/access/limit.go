package access

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxLimiters bounds the table of budgets. Where it is full the table starts again,
// which lets each token, or address, have one more burst.
const maxLimiters = 10_000

// limiter holds a budget of requests for each token, or address.
type limiter struct {
	perSecond rate.Limit
	burst     int

	mu  sync.Mutex
	all map[string]*rate.Limiter
}

func newLimiter(perSecond, burst int) *limiter {
	return &limiter{perSecond: rate.Limit(perSecond), burst: burst, all: make(map[string]*rate.Limiter)}
}

func (l *limiter) take(id string, now time.Time) (time.Duration, bool) {
	r := l.of(id).ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait == 0 {
		return 0, true
	}
	r.CancelAt(now)
	return wait, false
}

func (l *limiter) of(id string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.all[id]
	if b == nil {
		if len(l.all) >= maxLimiters {
			clear(l.all)
		}
		b = rate.NewLimiter(l.perSecond, l.burst)
		l.all[id] = b
	}
	return b
}
