package proxy

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-egress/signet/internal/policy"
)

// spliceChunk bounds how long one copy goes on before its progress is noted.
const spliceChunk = 4 << 20

var (
	errTunnelIdle = errors.New("the tunnel was idle for too long")
	errAgentLeft  = errors.New("the agent left before the upstream was done")
)

// splicing is one connection pair whose bytes are carried both ways until both
// senders have closed.
type splicing struct {
	agent    *agentConn
	upstream io.ReadWriteCloser // a *net.TCPConn for a tunnel, which lets splice(2) do the work
	idle     time.Duration
	patience time.Duration // for an upstream whose agent has left
	buffers  *buffers
	moved    atomic.Int64 // unix nanoseconds of the last progress either way

	ended  atomic.Bool // the agent's bytes are no longer wanted
	left   atomic.Bool // the agent has reset its connection
	broken atomic.Bool
	once   sync.Once
	cause  *denial // why it broke; read once both directions have ended
}

// splice carries a tunnel, or what follows a 101. The agent's close is left to the
// receipt's end. afterUpstream is called when the upstream has closed its side
// first, with a channel that is ready once the agent has closed its own.
func (x *exchange) splice(agent *agentConn, upstream io.ReadWriteCloser, afterUpstream func(*splicing, <-chan int64) int64) error {
	s := &splicing{
		agent: agent, upstream: upstream, idle: x.p.Timeouts.Idle, patience: x.p.Timeouts.HalfClose, buffers: &x.p.buffers,
	}
	s.note()
	up := make(chan int64, 1)
	go func() {
		n := s.relay(upstream, agent)
		if c, ok := upstream.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
		up <- n
	}()
	down := s.relay(agent, upstream)
	sent := afterUpstream(s, up)
	x.receipt.Detail.Forwarded.BytesUp, x.receipt.Detail.Forwarded.BytesDown = &sent, &down
	if s.cause != nil {
		return s.cause
	}
	return nil
}

// passHalfClose waits for the agent to close its side, and tells it that the
// upstream has where it does not by itself.
func (x *exchange) passHalfClose(s *splicing, up <-chan int64) int64 {
	patience := time.NewTimer(x.p.Timeouts.HalfClose)
	defer patience.Stop()
	select {
	case n := <-up:
		return n
	case <-patience.C:
		_ = s.agent.CloseWrite()
		return <-up
	}
}

// endWithUpstream ends an upgraded connection with its upstream: WebSocket knows
// no half-close (RFC 6455, section 7.1.1).
func endWithUpstream(s *splicing, up <-chan int64) int64 {
	s.ended.Store(true)
	_ = s.agent.SetReadDeadline(time.Unix(1, 0))
	return <-up
}

// relay copies one direction to its end and returns how many bytes it moved.
func (s *splicing) relay(dst io.Writer, src io.Reader) int64 {
	var total int64
	if a, ok := src.(*agentConn); ok && len(a.ahead) > 0 {
		n, err := dst.Write(a.ahead)
		total, a.ahead = int64(n), nil
		if err != nil {
			s.broke(err)
			return total
		}
	}
	setDeadline := deadlineOf(src)
	step, done := s.copier(dst, src)
	defer done()
	for {
		setDeadline(time.Now().Add(s.idle / 4))
		if s.broken.Load() || s.ended.Load() {
			return total
		}
		if s.left.Load() {
			if src != io.Reader(s.agent) {
				s.hearOut()
			}
			return total
		}
		n, err := step()
		total += n
		if n > 0 {
			s.note()
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), s.broken.Load():
			return total
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !s.ended.Load() && time.Since(time.Unix(0, s.moved.Load())) >= s.idle {
				s.broke(errTunnelIdle)
			}
		case !s.agentLeft(err):
			s.broke(err)
		}
	}
}

func (s *splicing) note() { s.moved.Store(time.Now().UnixNano()) }

// deadlineOf bounds reads from src. An upgraded connection below net/http takes
// no deadline; the agent's side then keeps the idle clock for both.
func deadlineOf(src io.Reader) func(time.Time) {
	if c, ok := src.(net.Conn); ok {
		return func(t time.Time) { _ = c.SetReadDeadline(t) }
	}
	return func(time.Time) {}
}

// copier returns one step of a copy: a splice(2) between TCP connections, else
// one read and one write.
func (s *splicing) copier(dst io.Writer, src io.Reader) (step func() (int64, error), done func()) {
	from, to := tcpEnd(src), tcpEnd(dst)
	if from != nil && to != nil {
		return func() (int64, error) { return io.CopyN(to, from, spliceChunk) }, func() {}
	}
	buf := s.buffers.get()
	return func() (int64, error) {
		n, err := src.Read(*buf)
		if n > 0 {
			if _, werr := dst.Write((*buf)[:n]); werr != nil {
				return 0, werr
			}
		}
		return int64(n), err
	}, func() { s.buffers.put(buf) }
}

// tcpEnd is the bare TCP connection behind an end of the copy, or nil.
func tcpEnd(end any) *net.TCPConn {
	switch c := end.(type) {
	case *agentConn:
		return tcpOf(c.Conn)
	case net.Conn:
		return tcpOf(c)
	}
	return nil
}

// agentLeft reports whether the agent has reset a tunnel, as many clients do that
// have their answer and leave TLS's own goodbye unread. What the upstream still
// says decides whether that was an abort; it is told at once that nothing more
// comes, and the reading of it woken.
func (s *splicing) agentLeft(err error) bool {
	upstream, ok := s.upstream.(*net.TCPConn)
	if !ok || s.blame(err).reason != policy.ClientAborted {
		return false
	}
	s.left.Store(true)
	_ = upstream.SetReadDeadline(time.Unix(1, 0))
	return true
}

// lastWords is the most that an upstream may still say to an agent that has left
// for its answer to count as read whole: a record of TLS.
const lastWords = 16 << 10

// hearOut reads the upstream to its end on behalf of an agent that has left.
func (s *splicing) hearOut() {
	upstream := s.upstream.(*net.TCPConn) // agentLeft has seen to it
	_ = upstream.SetReadDeadline(time.Now().Add(s.patience))
	_, err := io.CopyN(io.Discard, upstream, lastWords)
	if !errors.Is(err, io.EOF) {
		s.broke(cmp.Or(err, errAgentLeft))
	}
}

// broke notes the first failure and ends both directions. The agent's
// connection stays open for its end.
func (s *splicing) broke(err error) {
	s.once.Do(func() {
		s.cause = s.blame(err)
		s.broken.Store(true)
		_ = s.upstream.Close()
		_ = s.agent.SetDeadline(time.Unix(1, 0))
	})
}

// blame says who left. The error of a splice does not tell its two sides apart;
// the state of the upstream's socket does.
func (s *splicing) blame(err error) *denial {
	switch {
	case errors.Is(err, errTunnelIdle):
		return fail(policy.UpstreamTimeout, "", err)
	case errors.Is(err, net.ErrClosed):
		return fail(policy.Internal, "", err) // cut at the end of a graceful stop
	case s.left.Load():
		return fail(policy.ClientAborted, "", err)
	}
	if t, ok := s.upstream.(*net.TCPConn); ok && wasReset(t) {
		return fail(policy.UpstreamAborted, "", err)
	}
	return fail(policy.ClientAborted, "", err)
}
