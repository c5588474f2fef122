package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

var errNothingInside = errors.New("no request was carried inside the tunnel")

// tunnelKey finds the tunnel in an inner request's context.
type tunnelKey struct{}

func tunnelOf(ctx context.Context) *tunnel {
	t, _ := ctx.Value(tunnelKey{}).(*tunnel)
	return t
}

// innerServer serves intercepted connections, each handed over one by one, with
// a real http.Server: the stricter of net/http's two request parsers.
type innerServer struct {
	proxy *Proxy
	http  *http.Server
	queue *queue
	done  chan struct{}
}

func newInnerServer(p *Proxy) *innerServer {
	s := &innerServer{proxy: p, http: newHTTPServer(p, p.Timeouts, p.Logger), queue: newQueue(), done: make(chan struct{})}
	s.http.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if served, ok := c.(*servedConn); ok {
			ctx = context.WithValue(ctx, servedKey{}, served)
			c = served.Conn
		}
		if inner, ok := c.(*tls.Conn).NetConn().(*innerConn); ok {
			return context.WithValue(ctx, tunnelKey{}, inner.tunnel)
		}
		return ctx
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(s.queue); !errors.Is(err, http.ErrServerClosed) {
			p.Logger.Error("serving intercepted connections ended", slog.Any("error", err))
		}
	}()
	return s
}

// serve hands a connection over; the server closes it in the end. Only as a bare
// *tls.Conn does net/http take it for h2.
func (s *innerServer) serve(c *tls.Conn) error {
	if c.ConnectionState().NegotiatedProtocol == "h2" {
		return s.queue.put(c)
	}
	return s.queue.put(newServedConn(c, s.proxy.Timeouts))
}

func (s *innerServer) shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

func (s *innerServer) close() {
	_ = s.http.Close()
	<-s.done
}

// innerConn is the connection below an intercepted TLS session. Closing it tells
// the CONNECT's exchange, which closes the agent's connection itself, after its
// receipt.
type innerConn struct {
	*agentConn
	tunnel *tunnel
}

// Read implements net.Conn.
func (c *innerConn) Read(b []byte) (int, error) {
	n, err := c.agentConn.Read(b)
	c.tunnel.note()
	return n, err
}

// Write implements net.Conn.
func (c *innerConn) Write(b []byte) (int, error) {
	n, err := c.agentConn.Write(b)
	c.tunnel.note()
	return n, err
}

// Close implements net.Conn.
func (c *innerConn) Close() error {
	c.tunnel.once.Do(func() { close(c.tunnel.closed) })
	return nil
}

// queue is a net.Listener of connections that are handed to it.
type queue struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newQueue() *queue { return &queue{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (q *queue) put(c net.Conn) error {
	select {
	case q.conns <- c:
		return nil
	case <-q.closed:
		return net.ErrClosed
	}
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

// Addr implements net.Listener.
func (*queue) Addr() net.Addr { return &net.TCPAddr{} }
