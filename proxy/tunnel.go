package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
)

// established is the answer to an allowed CONNECT.
const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// tunnelThrough carries an opaque tunnel: the ClientHello is checked, then bytes
// are spliced and counted, each direction closed when its sender closes it.
func (x *exchange) tunnelThrough(ctx context.Context) error {
	route := x.route()
	upstream, release, err := x.p.Upstream.Dial(ctx, route)
	x.receipt.Detail.TLS = &receipts.TLS{Mode: "tunnel"}
	x.describeConn(route)
	if err != nil {
		return x.carryFailure(ctx, err)
	}
	defer release()
	defer x.p.live.hold(upstream)()
	agent, err := x.hijack(established)
	if err != nil {
		return err
	}
	defer x.p.live.hold(cutter{agent})()
	if x.decision.Opaque {
		x.receipt.Detail.TLS.Mode = "none" // nobody looks
	} else if _, err := x.checkHello(ctx, agent); err != nil {
		return err
	}
	return x.splice("opaque", agent, upstream, x.passHalfClose)
}

// hijack takes the agent's connection over and writes first to it.
func (x *exchange) hijack(first string) (*agentConn, error) {
	agent, err := takeOver(x.w)
	if err != nil {
		return nil, fail(policy.Internal, "", err)
	}
	x.end = &tunnelEnd{agent: agent}
	if _, err := io.WriteString(agent, first); err != nil {
		return nil, fail(policy.ClientAborted, "", err)
	}
	return agent, nil
}

// takeOver takes a connection from its server, with what was read ahead.
func takeOver(w http.ResponseWriter) (*agentConn, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	agent := &agentConn{Conn: conn}
	if served, ok := conn.(*servedConn); ok {
		agent.Conn, agent.ahead = served.takeOver()
	}
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Peek(n)
		agent.unread(early)
	}
	_ = agent.SetDeadline(time.Time{}) // the server's own deadlines end here
	return agent, nil
}

// agentConn is the agent's hijacked connection, with what was read ahead.
type agentConn struct {
	net.Conn
	ahead []byte
}

func (c *agentConn) unread(b []byte) { c.ahead = append(b[:len(b):len(b)], c.ahead...) }

// Read implements net.Conn.
func (c *agentConn) Read(b []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// CloseWrite passes a half-close on, over TCP or TLS.
func (c *agentConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// tcpOf is the TCP connection that c is, which splice(2) wants; nil where TLS
// lies between.
func tcpOf(c net.Conn) *net.TCPConn {
	t, _ := c.(*net.TCPConn)
	return t
}

// lastEnd is the end of a CONNECT that was not answered yet, and of a request
// that cannot be read: with a denial, the connection ends too.
type lastEnd struct{ w http.ResponseWriter }

func (*lastEnd) flush()   {}
func (*lastEnd) release() {}

// refuse reads on for a moment, so that the agent reads the answer before it
// meets a reset for what it still sends.
func (e *lastEnd) refuse(a *answerTo) {
	agent, err := takeOver(e.w)
	if err != nil {
		a.writeTo(e.w)
		return
	}
	_ = agent.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := agent.Write(a.raw()); err == nil && agent.CloseWrite() == nil {
		_ = agent.SetReadDeadline(time.Now().Add(lingering))
		_, _ = io.CopyN(io.Discard, agent, lingeringBytes)
	}
	_ = agent.Close()
}

// tunnelEnd is the end of a connection that was taken over: its close.
type tunnelEnd struct {
	agent *agentConn
	hello bool // the agent waits for an answer to its ClientHello
}

func (*tunnelEnd) flush()     {}
func (e *tunnelEnd) release() { _ = e.agent.Close() }

// refuse answers a ClientHello with a TLS alert. Anything later is reset, so
// that a cut never looks like an end.
func (e *tunnelEnd) refuse(*answerTo) {
	if !e.hello {
		_ = cutter{e.agent}.Close()
		return
	}
	_, _ = e.agent.Write(accessDenied)
	_ = e.agent.Close()
}

// cutter closes the agent's connection so that it does not look like an end: by
// a reset, where TCP is below.
type cutter struct{ *agentConn }

// Close implements io.Closer.
func (c cutter) Close() error {
	if t := tcpOf(c.Conn); t != nil {
		_ = t.SetLinger(0)
	}
	return c.agentConn.Close()
}
