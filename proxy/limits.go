package proxy

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/signet-egress/signet/internal/policy"
)

var (
	errOverBytes = errors.New("more bytes than the limit allows")
	errLifetime  = errors.New("the tunnel has stood for as long as it may")
)

// limiter counts what each agent uses: over all rules, and of each rule. Agents
// and rules come from configuration, which bounds it.
type limiter struct {
	mu   sync.Mutex
	used map[limitKey]*usage
}

type limitKey struct{ agent, rule string } // rule "": over all rules

// usage is what one agent uses under one set of limits.
type usage struct {
	rate               *rate.Limiter
	exchanges, tunnels int
}

// claim is what one exchange wants to use.
type claim struct {
	key     limitKey
	limits  *policy.Limits
	*usage  // filled in by the limiter
	reserve *rate.Reservation
}

// take uses up one exchange, one tunnel or both under every limit at once, or
// nothing. limit names what refused.
func (l *limiter) take(claims []claim, exchange, tunnel bool, now time.Time) (limit string, retry time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range claims {
		c := &claims[i]
		c.usage = l.of(c.key)
		switch {
		case exchange && c.limits.Concurrent > 0 && c.exchanges >= c.limits.Concurrent:
			return "concurrent", 0
		case tunnel && c.limits.Tunnels > 0 && c.tunnels >= c.limits.Tunnels:
			return "tunnels", 0
		}
	}
	if exchange {
		if retry := reserveAll(claims, now); retry > 0 {
			return "requests", retry
		}
	}
	for _, c := range claims {
		c.add(exchange, tunnel, 1)
	}
	return "", 0
}

// reserveAll takes a token of every rate, or none and says when there will be.
func reserveAll(claims []claim, now time.Time) (retry time.Duration) {
	for i := range claims {
		c := &claims[i]
		if c.limits.RequestsPerSecond == 0 {
			continue
		}
		c.setRate(c.limits, now)
		c.reserve = c.rate.ReserveN(now, 1)
		retry = max(retry, c.reserve.DelayFrom(now))
	}
	if retry == 0 {
		return 0
	}
	for _, c := range claims {
		if c.reserve != nil {
			c.reserve.CancelAt(now)
		}
	}
	return retry
}

func (l *limiter) release(claims []claim, exchange, tunnel bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range claims {
		c.add(exchange, tunnel, -1)
	}
}

func (l *limiter) of(k limitKey) *usage {
	u := l.used[k]
	if u == nil {
		u = &usage{}
		if l.used == nil {
			l.used = make(map[limitKey]*usage)
		}
		l.used[k] = u
	}
	return u
}

// setRate follows a policy that was replaced; what was used stays used.
func (u *usage) setRate(l *policy.Limits, now time.Time) {
	limit := rate.Limit(l.RequestsPerSecond)
	if u.rate == nil {
		u.rate = rate.NewLimiter(limit, l.Burst)
		return
	}
	if u.rate.Limit() != limit {
		u.rate.SetLimitAt(now, limit)
	}
	if u.rate.Burst() != l.Burst {
		u.rate.SetBurstAt(now, l.Burst)
	}
}

func (u *usage) add(exchange, tunnel bool, n int) {
	if exchange {
		u.exchanges += n
	}
	if tunnel {
		u.tunnels += n
	}
}

// bounds are the limits that hold while an exchange is carried; 0 is none.
type bounds struct {
	up, down       int64 // bytes
	idle, lifetime time.Duration
}

// limit holds the exchange against the limits of its rule and of its agent. The
// inner exchanges of an intercepted tunnel count as exchanges, the tunnel itself
// as a tunnel only.
func (x *exchange) limit() error {
	var claims []claim
	for _, c := range []claim{
		{key: limitKey{x.agent, ""}, limits: x.snap.Policy.AgentLimits()},
		{key: limitKey{x.agent, x.decision.Rule}, limits: x.decision.Limits},
	} {
		if c.limits != nil {
			claims = append(claims, c)
			x.bounds.tighten(c.limits)
		}
	}
	if len(claims) == 0 {
		return nil
	}
	tunnel := x.r.Method == http.MethodConnect
	exchange := !x.decision.Intercept
	if limit, retry := x.p.limits.take(claims, exchange, tunnel, x.p.Now()); limit != "" {
		x.p.Observer.Limited(limit)
		return overLimit(limit, retry)
	}
	x.releaseLimits = func() { x.p.limits.release(claims, exchange, tunnel) }
	if x.bounds.up > 0 && x.r.ContentLength > x.bounds.up {
		return x.overRequestBytes(deny)
	}
	return nil
}

// expire cuts a tunnel when its lifetime is over, until stop is called.
func (x *exchange) expire(cut func(*denial)) (stop func()) {
	if x.bounds.lifetime == 0 {
		return func() {}
	}
	timer := time.AfterFunc(x.bounds.lifetime, func() {
		x.p.Observer.Limited("tunnel_lifetime")
		cut(fail(policy.LimitExceeded, "", errLifetime))
	})
	return func() { timer.Stop() }
}

func overLimit(limit string, retry time.Duration) *denial {
	d := deny(policy.LimitExceeded, "as many exchanges are under way as the policy allows at once", nil)
	switch limit {
	case "requests":
		d = deny(policy.RateLimited, "more requests a second than the policy allows", nil)
	case "tunnels":
		d.detail = "as many tunnels are open as the policy allows at once"
	}
	d.retryAfter = retry
	return d
}

func (b *bounds) tighten(l *policy.Limits) {
	b.up = tighter(b.up, l.RequestBytes)
	b.down = tighter(b.down, l.ResponseBytes)
	b.idle = tighter(b.idle, l.TunnelIdle)
	b.lifetime = tighter(b.lifetime, l.TunnelLifetime)
}

// tighter is the smaller of two bounds, of which 0 is none.
func tighter[T int64 | time.Duration](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func (x *exchange) overRequestBytes(as func(policy.Reason, string, error) *denial) *denial {
	x.p.Observer.Limited("request_bytes")
	d := as(policy.LimitExceeded, "the request is larger than the policy allows", errOverBytes)
	d.status = http.StatusRequestEntityTooLarge
	return d
}

func (x *exchange) overResponseBytes() *denial {
	x.p.Observer.Limited("response_bytes")
	d := fail(policy.LimitExceeded, "the answer is larger than the policy allows", errOverBytes)
	d.status = http.StatusBadGateway
	return d
}
