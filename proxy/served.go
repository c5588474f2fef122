package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/proxy/framing"
	"github.com/signet-egress/signet/receipts"
)

// In place of a head that framing refuses the server reads marker, whose version
// no head that is let through has, so that requests before it are answered first.
// In place of content it reads poison, which is malformed wherever chunks are.
const (
	marker      = "REFUSED / HTTP/1.9\r\nHost: refused.invalid\r\n\r\n"
	markerMinor = 9
	poison      = "!!\r\n\r\n"
)

const (
	directRead = 512     // bytes: into less than that nothing is read directly, since a head seldom fits
	heldRead   = 4 << 10 // bytes that are read at once into what is held
	forever    = time.Duration(1<<63 - 1)
)

// servedConn is an agent's HTTP/1 connection, or the TLS session inside an
// intercepted tunnel, as the server reads it: nothing of a request reaches the
// server before framing has let it through.
type servedConn struct {
	net.Conn
	headTime time.Duration // that a request head may take
	patience time.Duration // that an exchange may take when the agent has closed its side

	requests framing.Requests
	held     []byte // read, and not given to the server yet
	ready    int    // how much of held framing has let through, or stands in its place
	overtime bool   // a head has taken too long: nothing more is read

	refusal  atomic.Pointer[framing.Error] // why nothing more is let through; nil while all is well
	answered atomic.Int64                  // requests whose handler has returned
	lingers  atomic.Bool                   // the last answer came before its request's end

	mu       sync.Mutex // guards what follows, which others than the reader change
	woken    *sync.Cond // a deadline has passed, the connection was closed, or patience has ended
	deadline time.Time  // for reads, as the server has set it last
	bound    time.Time  // for the head that has begun to come; zero for none
	closed   bool
}

func newServedConn(c net.Conn, t Timeouts) *servedConn {
	s := &servedConn{Conn: c, headTime: t.RequestHeader, patience: t.Farewell}
	s.woken = sync.NewCond(&s.mu)
	if tcp, ok := c.LocalAddr().(*net.TCPAddr); ok {
		at := tcp.AddrPort()
		s.requests.Proxy = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	}
	return s
}

// Read implements net.Conn, for one reader at a time.
func (c *servedConn) Read(p []byte) (int, error) {
	for c.ready == 0 {
		if n, err := c.fill(p); n > 0 || err != nil {
			return n, err
		}
	}
	n := copy(p, c.held[:c.ready])
	c.ready -= n
	if c.held = c.held[n:]; len(c.held) == 0 {
		c.held = nil // an idle connection holds no buffer
	}
	return n, nil
}

// fill reads once. What is let through at once it reads into p, and returns how
// much that is.
func (c *servedConn) fill(p []byte) (int, error) {
	refusal := c.refusal.Load()
	switch {
	case refusal != nil && refusal.Content:
		return 0, io.ErrUnexpectedEOF
	case refusal != nil:
		return 0, c.leave(io.EOF, forever)
	case c.overtime:
		return 0, c.leave(os.ErrDeadlineExceeded, forever)
	case c.requests.Upgrading() && c.underWay():
		if len(c.held) > 0 {
			return 0, c.leave(io.EOF, forever)
		}
	case c.requests.Upgrading():
		c.requests.NotUpgraded()
		c.pass()
		return 0, nil
	case len(c.held) == 0 && len(p) >= directRead:
		return c.readInto(p)
	}
	begun := len(c.held) > 0 && c.requests.AtHead()
	if begun {
		c.boundHead()
	}
	c.held = slices.Grow(c.held, heldRead)
	n, err := c.Conn.Read(c.held[len(c.held) : len(c.held)+heldRead])
	if n == 0 {
		return 0, c.failed(err)
	}
	c.held = c.held[:len(c.held)+n]
	heads := c.requests.Heads()
	c.pass()
	if begun && c.requests.Heads() > heads {
		c.unboundHead()
	}
	return 0, nil
}

// readInto is the common path: what comes is whole, and goes straight through.
func (c *servedConn) readInto(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 {
		return 0, c.failed(err)
	}
	passed, refusal := c.requests.Pass(p[:n])
	if passed < n {
		c.held = append(make([]byte, 0, heldRead), p[passed:n]...)
		c.hold(0, refusal)
	}
	return passed, nil
}

// pass has framing look at what is held.
func (c *servedConn) pass() {
	ready, refusal := c.requests.Pass(c.held)
	c.hold(ready, refusal)
}

// hold notes how much of what is held may go on.
func (c *servedConn) hold(ready int, refusal *framing.Error) {
	c.ready = ready
	if refusal != nil {
		c.refuse(refusal)
	}
}

// refuse puts what says so in the place of what is refused and all behind it.
func (c *servedConn) refuse(refusal *framing.Error) {
	c.refusal.Store(refusal)
	instead := marker
	if refusal.Content {
		instead = poison
	}
	c.held = append(c.held[:c.ready], instead...)
	c.ready = len(c.held)
}

// failed says what an error of the connection is to the server.
func (c *servedConn) failed(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && c.isOvertime():
		c.overtime = true
		return nil
	case !errors.Is(err, io.EOF):
		return err
	case c.requests.AtHead() && len(c.held) > 0:
		c.refuse(&framing.Error{Status: http.StatusBadRequest, Detail: "the request ends before the empty line that ends its header"})
		return nil
	case c.requests.AtHead() || c.requests.Upgrading():
		return c.leave(err, c.patience)
	}
	return err
}

// leave is how the server learns that nothing more comes. While a request is
// being answered that would end the exchange, although the agent may still read:
// it waits for the answer, or for as long as patience lasts.
func (c *servedConn) leave(err error, patience time.Duration) error {
	if !c.underWay() {
		return err
	}
	late := false
	if patience < forever {
		timer := time.AfterFunc(patience, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			late = true
			c.woken.Broadcast()
		})
		defer timer.Stop()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return net.ErrClosed
		case hasPassed(c.deadline):
			return os.ErrDeadlineExceeded
		case late:
			return err
		}
		c.woken.Wait()
	}
}

// underWay reports whether a request that was let through is not answered yet.
func (c *servedConn) underWay() bool {
	given := c.requests.Heads()
	if r := c.refusal.Load(); r != nil && !r.Content {
		given++ // marker
	}
	return given != c.answered.Load()
}

// boundHead bounds how long the rest of a head may take from now on, unless it is
// bounded already: the server does not know that it has begun.
func (c *servedConn) boundHead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bound.IsZero() {
		c.bound = time.Now().Add(c.headTime)
		_ = c.applyDeadline()
	}
}

func (c *servedConn) unboundHead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bound = time.Time{}
	_ = c.applyDeadline()
}

func (c *servedConn) isOvertime() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return hasPassed(c.bound)
}

func hasPassed(t time.Time) bool { return !t.IsZero() && !t.After(time.Now()) }

// applyDeadline sets the earlier one of the server's deadline and the head's.
func (c *servedConn) applyDeadline() error {
	t := c.deadline
	if !c.bound.IsZero() && (t.IsZero() || c.bound.Before(t)) {
		t = c.bound
	}
	return c.Conn.SetReadDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *servedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	c.woken.Broadcast()
	return c.applyDeadline()
}

// Close implements net.Conn. A TCP connection that is closed while there is
// something to read is reset, and an agent that still sends may lose its answer.
func (c *servedConn) Close() error {
	if c.lingers.Swap(false) && c.CloseWrite() == nil {
		_ = c.Conn.SetReadDeadline(time.Now().Add(lingering))
		_, _ = io.CopyN(io.Discard, c.Conn, lingeringBytes)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.woken.Broadcast()
	return c.Conn.Close()
}

// CloseWrite closes Signet's side, over TCP or TLS.
func (c *servedConn) CloseWrite() error { return closeWrite(c.Conn) }

// takeOver gives the connection away with what was read of it and not given to
// the server. What it carries is no longer HTTP/1.
func (c *servedConn) takeOver() (net.Conn, []byte) { return c.Conn, c.held }

// servedKey finds the servedConn in the context of its requests.
type servedKey struct{}

func servedOf(ctx context.Context) *servedConn {
	c, _ := ctx.Value(servedKey{}).(*servedConn)
	return c
}

// refusalKey finds in its context why a request is refused that stands for one
// that could not be let through.
type refusalKey struct{}

func refusalOf(ctx context.Context) *framing.Error {
	r, _ := ctx.Value(refusalKey{}).(*framing.Error)
	return r
}

// handle serves the requests of a server of either kind of connection.
func (p *Proxy) handle(w http.ResponseWriter, r *http.Request) {
	if c := servedOf(r.Context()); c != nil {
		defer c.answered.Add(1)
		if r.ProtoMinor == markerMinor {
			r = r.WithContext(context.WithValue(r.Context(), refusalKey{}, c.refusal.Load()))
		}
	}
	p.ServeHTTP(w, r)
}

// refuseHead is the denial of a request for its form.
func refuseHead(refusal *framing.Error) *denial {
	d := &denial{reason: policy.TargetMalformed, outcome: receipts.Denied, status: refusal.Status, detail: refusal.Detail}
	if refusal.TooLarge {
		d.reason = policy.LimitExceeded
	}
	return d
}

// misframed is why the content of the request under way is malformed, or nil.
func misframed(ctx context.Context) *framing.Error {
	c := servedOf(ctx)
	if c == nil {
		return nil
	}
	if r := c.refusal.Load(); r != nil && r.Content {
		return r
	}
	return nil
}
