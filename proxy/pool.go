package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/signet-egress/signet/proxy/framing"
	"github.com/signet-egress/signet/resolver"
)

// What is agreed on in a TLS handshake (ALPN, RFC 7301).
const (
	protocolH2    = "h2"
	protocolHTTP1 = "http/1.1"
)

// resumableSessions is how many TLS sessions are remembered for one destination.
const resumableSessions = 16

// readyFor is how long a connection opened ahead waits for its first request:
// shorter than the idle limit of any server met, since a first request on a
// closed connection is not tried again.
const readyFor = 4 * time.Second

// pool holds the connections of one poolKey. Those over which HTTP/1 is spoken it
// keeps itself; h2 is net/http's.
type pool struct {
	key       poolKey
	c         *UpstreamConfig
	transport *http.Transport // for h2
	tls       *tls.Config     // nil for plain HTTP; immutable

	mu    sync.Mutex
	pin   *resolver.Pin // the newest of the same addresses
	guard *resolver.Guard
	open  map[*pooledConn]Conn // handshaken and not closed; TLS only
	ready []*tls.Conn          // opened ahead, not used yet
	idle  idle
	h2    bool // what the last handshake has agreed on
	ended bool
}

func newPool(key poolKey, r *Route, c *UpstreamConfig) *pool {
	p := &pool{key: key, c: c, pin: r.Pin, guard: r.Guard, open: make(map[*pooledConn]Conn)}
	p.transport = &http.Transport{
		DialTLSContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return p.takeH2(ctx) },
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // bodies pass as they are
		IdleConnTimeout:        c.IdleConn,
		ResponseHeaderTimeout:  c.ResponseHeader,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: framing.MaxResponseHead,
	}
	if key.tls {
		p.tls = &tls.Config{
			ServerName:         key.host,
			RootCAs:            c.Roots,
			MinVersion:         tls.VersionTLS12,
			NextProtos:         []string{protocolH2, protocolHTTP1},
			ClientSessionCache: tls.NewLRUClientSessionCache(resumableSessions),
		}
		if key.http1 {
			p.tls.NextProtos = []string{protocolHTTP1}
		}
	}
	return p
}

// renew keeps the pin of the newest exchange: its addresses are the pool's, its
// expiry is later.
func (p *pool) renew(r *Route) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pin, p.guard = r.Pin, r.Guard
}

// dial takes the pin and nothing that net/http says of where to go.
func (p *pool) dial(ctx context.Context) (*pooledConn, error) {
	p.mu.Lock()
	pin, guard := p.pin, p.guard
	p.mu.Unlock()
	c, closed, err := p.c.dial(ctx, pin, p.key.port, guard)
	if err != nil {
		return nil, err
	}
	return &pooledConn{TCPConn: c, pool: p, closed: sync.OnceFunc(closed)}, nil
}

// dialTLS returns a connection whose handshake is done and verified.
func (p *pool) dialTLS(ctx context.Context) (*tls.Conn, error) {
	raw, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := tls.Client(raw, p.tls)
	ctx, cancel := context.WithTimeout(ctx, p.c.Handshake)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	state := c.ConnectionState()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[raw] = Conn{Remote: addrPortOf(raw), TLS: &state}
	p.h2 = state.NegotiatedProtocol == protocolH2
	return c, nil
}

// openConn is any open, verified connection.
func (p *pool) openConn() (Conn, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		return c, true
	}
	return Conn{}, false
}

// keep stores a connection for the first request that wants one; it is closed
// if none comes in time.
func (p *pool) keep(c *tls.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		_ = c.NetConn().(*pooledConn).closeLocked()
		return
	}
	p.ready = append(p.ready, c)
	time.AfterFunc(readyFor, func() { p.expire(c) })
}

func (p *pool) expire(c *tls.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.ready {
		if other == c {
			p.ready = append(p.ready[:i], p.ready[i+1:]...)
			_ = c.NetConn().(*pooledConn).closeLocked()
			return
		}
	}
}

// takeTLS returns a connection opened ahead, else a new one.
func (p *pool) takeTLS(ctx context.Context) (*tls.Conn, error) {
	p.mu.Lock()
	if n := len(p.ready); n > 0 {
		c := p.ready[n-1]
		p.ready = p.ready[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	return p.dialTLS(ctx)
}

func (p *pool) close() {
	p.transport.CloseIdleConnections()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.idle.drop(len(p.idle.conns))
	for _, c := range p.ready {
		_ = c.NetConn().(*pooledConn).closeLocked()
	}
	p.ready = nil
}

// pooledConn tells its pool when it is closed.
type pooledConn struct {
	*net.TCPConn
	pool   *pool
	closed func() // for the observer
}

// Close implements net.Conn.
func (c *pooledConn) Close() error {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return c.closeLocked()
}

func (c *pooledConn) closeLocked() error {
	delete(c.pool.open, c)
	c.closed()
	return c.TCPConn.Close()
}
