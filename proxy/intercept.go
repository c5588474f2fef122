package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/proxy/mitm"
	"github.com/signet-egress/signet/receipts"
)

// tunnel is an intercepted CONNECT: what its inner requests are held against.
type tunnel struct {
	target policy.Target
	intent string // receipt id of the CONNECT's intent
	hello  hello
	agent  string  // who opened it
	key    *APIKey // with which key; nil where none is needed

	cause     atomic.Pointer[denial] // why it was cut
	dissolved atomic.Bool            // an inner intent has taken the CONNECT's place
	moved     atomic.Value           // func(): feeds the idle clock; nothing where there is none
	once      sync.Once
	closed    chan struct{} // the inner server is done with the connection
}

// isFor reports whether a request names the tunnel's host, in Host or :authority
// and in a Host beside :authority (RFC 9113, section 8.3.1), which net/http leaves
// in the header.
func (t *tunnel) isFor(r *http.Request) bool {
	other := func(host string) bool { return !t.target.SameAuthority(host) }
	return !other(r.Host) && !slices.ContainsFunc(r.Header["Host"], other)
}

// openIntent is the CONNECT's intent while nothing has taken its place.
func (t *tunnel) openIntent() string {
	if t.dissolved.Load() {
		return ""
	}
	return t.intent
}

// cut ends the tunnel and what is under way inside.
func (t *tunnel) cut(agent io.Closer) func(*denial) {
	return func(d *denial) {
		t.cause.CompareAndSwap(nil, d)
		_ = agent.Close()
	}
}

// because is why the tunnel was cut, or err where it was not.
func (t *tunnel) because(err error) error {
	if d := t.cause.Load(); d != nil {
		return d
	}
	return err
}

// watchIdle cuts the tunnel when nothing has moved for a while, until stop is
// called. 0 leaves that to the inner server.
func (t *tunnel) watchIdle(limit time.Duration, cut func(*denial)) (stop func()) {
	if limit == 0 {
		return func() {}
	}
	timer := time.AfterFunc(limit, func() { cut(fail(policy.UpstreamTimeout, "", errTunnelIdle)) })
	t.moved.Store(func() { timer.Reset(limit) })
	return func() {
		t.moved.Store(func() {})
		timer.Stop()
	}
}

func (t *tunnel) note() {
	if moved, ok := t.moved.Load().(func()); ok {
		moved()
	}
}

func (t *tunnel) dissolve() { t.dissolved.Store(true) }

// intercept terminates the agent's TLS with a leaf for the host, after the
// upstream's own handshake was verified, and serves what is inside. The CONNECT
// is a receipt of its own only where no inner exchange was begun.
func (x *exchange) intercept(ctx context.Context) error {
	route := x.route()
	err := x.p.Upstream.Connect(ctx, route)
	x.receipt.Detail.TLS = &receipts.TLS{Mode: "intercept"}
	x.describeConn(route)
	if err != nil {
		return x.carryFailure(ctx, err)
	}
	config, err := x.p.Minter.ServerConfig(ctx, x.target.Host, alpnFor(route.Conn.TLS))
	if err != nil {
		return mintFailure(err)
	}
	agent, err := x.hijack(established)
	if err != nil {
		return err
	}
	defer x.p.live.hold(cutter{agent})()
	h, err := x.checkHello(ctx, agent)
	if err != nil {
		return err
	}
	t := &tunnel{
		target: x.target, intent: x.receipt.ReceiptID, hello: h, agent: x.agent, key: x.key, closed: make(chan struct{}),
	}
	secure := tls.Server(&innerConn{agent, t}, config)
	defer x.stand("intercept", t.cut(agent))()
	defer x.expire(t.cut(agent))()
	defer t.watchIdle(x.bounds.idle, t.cut(agent))()
	if err := x.handshake(ctx, secure); err != nil {
		return t.because(err)
	}
	if err := x.p.inner.serve(secure); err != nil {
		return t.because(fail(policy.Internal, "", err))
	}
	<-t.closed
	x.dissolved = t.dissolved.Load()
	if x.dissolved {
		return nil
	}
	return t.because(fail(policy.ClientAborted, "", errNothingInside))
}

func mintFailure(err error) *denial {
	switch _, gone := errors.AsType[*mitm.HostError](err); {
	case errors.Is(err, mitm.ErrMintRate):
		return fail(policy.RateLimited, "too many hosts are intercepted for the first time at once", err)
	case gone: // the policy was replaced meanwhile, and does not intercept the host
		return fail(policy.HostNotAllowed, "", err)
	}
	return fail(policy.Internal, "no certificate could be made for this host", err)
}

// handshake ends the agent's handshake. What fails here is nearly always an agent
// that does not trust the interception CA.
func (x *exchange) handshake(ctx context.Context, c *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, x.p.Timeouts.RequestHeader)
	defer cancel()
	err := c.HandshakeContext(ctx)
	x.p.Observer.Handshake(err)
	if err != nil {
		return fail(policy.ClientAborted, "", fmt.Errorf("TLS handshake with the agent: %w", err))
	}
	return nil
}

// alpnFor offers the agent only what the upstream took, so that nothing is
// promised that the far side cannot keep.
func alpnFor(state *tls.ConnectionState) []string {
	if state != nil && state.NegotiatedProtocol == "h2" {
		return []string{"h2", "http/1.1"}
	}
	return []string{"http/1.1"}
}
