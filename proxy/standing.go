package proxy

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/resolver"
)

var (
	errStopping = errors.New("the sidecar is stopping")
	errRevoked  = errors.New("the policy that allowed this connection was replaced")
	errKeyGone  = errors.New("the API key that opened this connection is no longer an agent's")
	errRebound  = errors.New("the name now leads to an address that is not allowed")
)

// standing are the connections that outlive a decision: tunnels, opaque and
// intercepted, and WebSockets. Each is decided again when the policy changes,
// and resolved again when its pin expires.
type standing struct {
	minRecheck time.Duration

	mu    sync.Mutex
	conns map[*standingConn]struct{}
	ended bool // cut: none stays
}

type standingConn struct {
	x     *exchange
	mode  string // opaque | intercept | websocket
	since time.Time
	cut   func(*denial) // ends the connection; may be called twice, by any goroutine
	timer *time.Timer   // owned by standing
}

// Tunnel is a standing connection as operators see it.
type Tunnel struct {
	ReceiptID string    `json:"receipt_id"`
	Mode      string    `json:"mode"`
	Agent     string    `json:"agent"`
	Target    string    `json:"target"` // host:port
	PinnedIP  string    `json:"pinned_ip"`
	Rule      string    `json:"rule,omitempty"`
	Since     time.Time `json:"since"`
}

// Tunnels lists the standing connections.
func (p *Proxy) Tunnels() []Tunnel {
	p.standing.mu.Lock()
	defer p.standing.mu.Unlock()
	list := make([]Tunnel, 0, len(p.standing.conns))
	for c := range p.standing.conns {
		list = append(list, Tunnel{
			ReceiptID: c.x.receipt.ReceiptID, Mode: c.mode, Agent: c.x.agent, Target: c.x.target.Authority(),
			PinnedIP: c.x.remote.Addr().String(), Rule: c.x.decision.Rule, Since: c.since,
		})
	}
	return list
}

// Revalidate decides every standing connection by the current snapshot, and cuts
// those whose verdict has changed, or whose API key is gone.
func (p *Proxy) Revalidate() (cut int) {
	snap := p.Snapshot()
	for _, c := range p.standing.all() {
		if d := c.x.verdict(snap); d != nil {
			c.cut(d)
			cut++
		}
	}
	return cut
}

// stand registers the exchange's connection until the returned function is called.
func (x *exchange) stand(mode string, cut func(*denial)) (done func()) {
	p := x.p
	closed := p.Observer.TunnelOpened(mode)
	c := &standingConn{x: x, mode: mode, since: p.Now(), cut: cut}
	if !p.standing.add(c) {
		cut(fail(policy.Internal, "", errStopping))
	}
	if snap := p.Snapshot(); snap != x.snap { // replaced since the decision
		if d := x.verdict(snap); d != nil {
			cut(d)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.standing.schedule(c, x.pin.Expires, func() { c.recheck(ctx) })
	return func() {
		cancel()
		p.standing.remove(c)
		closed()
	}
}

// verdict is nil where the snapshot would let the connection be as it is.
func (x *exchange) verdict(snap *Snapshot) *denial {
	request := policy.Request{Target: x.target, Method: x.r.Method, Agent: x.agent, Tunnel: x.r.Method == http.MethodConnect}
	d := snap.Policy.Decide(&request)
	switch {
	case snap.holds(&request): // a WebSocket under a new contract
		return fail(policy.PayloadNotInspectable, "", errRevoked)
	case !snap.Agents.know(x.key):
		return fail(policy.AuthRequired, "", errKeyGone)
	case !d.Carries():
		return fail(d.Reason, "", errRevoked)
	case d.Intercept != x.decision.Intercept:
		return fail(policy.HostNotAllowed, "", errRevoked)
	case x.decision.Opaque && !d.Opaque:
		return fail(policy.NotTLS, "", errRevoked)
	case d.DenyECH && x.receipt.Detail.TLS.ECH:
		return fail(policy.SNIMismatch, "", errRevoked)
	case !snap.Guard.Endpoint(x.remote).Allowed:
		return fail(policy.AddressDenied, "", errRevoked)
	}
	return nil
}

// recheck resolves the connection's name again, now that its pin has expired,
// and cuts the connection where the answer is refused. A name that cannot be
// resolved proves nothing.
func (c *standingConn) recheck(ctx context.Context) {
	expires := c.x.pin.Expires
	pin, err := c.x.p.Pins.Pin(ctx, c.x.target.Host, c.x.target.Port, c.x.p.Snapshot().Guard)
	if _, denied := errors.AsType[*resolver.DeniedError](err); denied {
		c.cut(fail(policy.AddressDenied, "", errRebound))
		return
	}
	if err == nil {
		expires = pin.Expires
	}
	c.x.p.standing.schedule(c, expires, nil)
}

// schedule has f called when the pin has expired; with f nil the f of before.
func (s *standing) schedule(c *standingConn, expires time.Time, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, registered := s.conns[c]; !registered {
		return
	}
	wait := max(time.Until(expires), s.minRecheck)
	if f != nil {
		c.timer = time.AfterFunc(wait, f)
		return
	}
	c.timer.Reset(wait)
}

func (s *standing) add(c *standingConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns = make(map[*standingConn]struct{})
	}
	s.conns[c] = struct{}{}
	return !s.ended
}

func (s *standing) remove(c *standingConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	c.timer.Stop()
}

func (s *standing) all() []*standingConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*standingConn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

// cut ends every connection, and those that are still to come.
func (s *standing) cut() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	for _, c := range s.all() {
		c.cut(fail(policy.Internal, "", errStopping))
	}
}
