package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/signet-egress/signet/internal/policy"
)

// spliceChunk bounds how long one copy goes on before its progress is noted.
const spliceChunk = 4 << 20

var errTunnelIdle = errors.New("the tunnel was idle for too long")

// splicing is one connection pair whose bytes are carried both ways until both
// senders have closed.
type splicing struct {
	agent    *agentConn
	upstream io.ReadWriteCloser // a *net.TCPConn for a tunnel, which lets splice(2) do the work
	idle     time.Duration
	patience time.Duration // for the side that remains when the other has reset
	buffers  *buffers
	moved    atomic.Int64 // unix nanoseconds of the last progress either way

	ended  atomic.Bool             // the agent's bytes are no longer wanted
	left   atomic.Pointer[leaving] // the side that has reset its connection; nil while both are there
	broken atomic.Bool
	once   sync.Once
	cause  *denial // why it broke; read once both directions have ended
}

// splice carries a tunnel, or what follows a 101. The agent's close is left to the
// receipt's end. afterUpstream is called when the upstream has closed its side
// first, with a channel that is ready once the agent has closed its own.
func (x *exchange) splice(mode string, agent *agentConn, upstream io.ReadWriteCloser, afterUpstream func(*splicing, <-chan int64) int64) error {
	s := &splicing{
		agent: agent, upstream: upstream, idle: tighter(x.p.Timeouts.Idle, x.bounds.idle), patience: x.p.Timeouts.HalfClose, buffers: &x.p.buffers,
	}
	s.note()
	defer x.stand(mode, s.cut)()
	defer x.expire(s.cut)()
	up := make(chan int64, 1)
	go func() {
		n := s.relay(upstream, agent, x.bounds.up, func() *denial { return x.overRequestBytes(fail) })
		if c, ok := upstream.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
		up <- n
	}()
	down := s.relay(agent, upstream, x.bounds.down, x.overResponseBytes)
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
		if s.left.Load() == nil { // else the agent could take a cut for an end
			_ = s.agent.CloseWrite()
		}
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

// relay copies one direction to its end, or to the limit (0: none), and returns
// how many bytes it moved. Not one more than the limit is passed on.
func (s *splicing) relay(dst io.Writer, src io.Reader, limit int64, over func() *denial) int64 {
	var total int64
	if a, ok := src.(*agentConn); ok && len(a.ahead) > 0 {
		if limit > 0 && int64(len(a.ahead)) > limit {
			s.cut(over())
			return 0
		}
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
		if gone := s.left.Load(); gone != nil {
			if gone.remains == src {
				s.hearOut(gone)
			}
			return total
		}
		most := int64(spliceChunk)
		if limit > 0 {
			most = min(most, limit-total)
		}
		n, err := step(most)
		total += n
		if n > 0 {
			s.note()
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return total
		case s.broken.Load():
			return total
		case errors.Is(err, errOverBytes):
			s.cut(over())
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !s.ended.Load() && time.Since(time.Unix(0, s.moved.Load())) >= s.idle {
				s.broke(errTunnelIdle)
			}
		case !s.hasLeft(err):
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

// copier returns one step of a copy, of most bytes: a splice(2) between TCP
// connections, else one read and one write. A step of none is errOverBytes where
// the sender has more.
func (s *splicing) copier(dst io.Writer, src io.Reader) (step func(most int64) (int64, error), done func()) {
	from, to := tcpEnd(src), tcpEnd(dst)
	if from != nil && to != nil {
		return func(most int64) (int64, error) {
			if most == 0 {
				return 0, mustEnd(from)
			}
			return io.CopyN(to, from, most)
		}, func() {}
	}
	buf := s.buffers.get()
	return func(most int64) (int64, error) {
		if most == 0 {
			return 0, mustEnd(src)
		}
		n, err := src.Read((*buf)[:min(most, bufferSize)])
		if n > 0 {
			if _, werr := dst.Write((*buf)[:n]); werr != nil {
				return 0, werr
			}
		}
		return int64(n), err
	}, func() { s.buffers.put(buf) }
}

func mustEnd(src io.Reader) error {
	var one [1]byte
	n, err := src.Read(one[:])
	if n > 0 {
		return errOverBytes
	}
	return err
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

// leaving is one side of a tunnel that has reset its connection.
type leaving struct {
	remains net.Conn // the other side
	cause   *denial  // what it is if the other side was not done
}

// hasLeft reports whether err is one side's reset. That is no abort yet: many
// clients reset once they have their answer, and many servers once they have
// given it, with TLS's own goodbye unread. Whether the side that remains had said
// all decides, and the reading of it is woken for that.
func (s *splicing) hasLeft(err error) bool {
	upstream, ok := s.upstream.(*net.TCPConn)
	if !ok {
		return false
	}
	gone := &leaving{cause: s.blame(err)}
	switch gone.cause.reason {
	case policy.ClientAborted:
		gone.remains = upstream
	case policy.UpstreamAborted:
		gone.remains = s.agent
	default:
		return false
	}
	if s.left.CompareAndSwap(nil, gone) {
		_ = gone.remains.SetReadDeadline(time.Unix(1, 0))
	}
	return true
}

// lastWords is the most that one side may still say to another that has left and
// pass for done: a record of TLS.
const lastWords = 16 << 10

// hearOut reads the side that remains to its end, if that is near. A reset is as
// good an end: two that close at once, each with the other's goodbye unread, reset
// both, and nobody is left who was not done.
func (s *splicing) hearOut(gone *leaving) {
	_ = gone.remains.SetReadDeadline(time.Now().Add(s.patience))
	_, err := io.CopyN(io.Discard, gone.remains, lastWords)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return
	}
	s.cut(gone.cause)
}

// broke notes the first failure and ends both directions. The agent's
// connection stays open for its end.
func (s *splicing) broke(err error) { s.cut(s.blame(err)) }

// cut is broke with the cause known.
func (s *splicing) cut(cause *denial) {
	s.once.Do(func() {
		s.cause = cause
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
	}
	if t, ok := s.upstream.(*net.TCPConn); ok && wasReset(t) {
		return fail(policy.UpstreamAborted, "", err)
	}
	return fail(policy.ClientAborted, "", err)
}
