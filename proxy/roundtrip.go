package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"sync"

	"github.com/signet-egress/signet/proxy/http1"
)

// The protocol is agreed on when a connection is made, and may not be the one of
// the connection before. Nothing has been sent then.
var (
	errSpeaksH2    = errors.New("the upstream has agreed on h2")
	errSpeaksHTTP1 = errors.New("the upstream has agreed on HTTP/1.1")
)

// maxProtocolChanges is how often one request meets another protocol than it was
// about to be sent by, because others have taken the connections made for it.
const maxProtocolChanges = 8

// roundTrip sends a request over one of the pool's connections, by the protocol
// that the upstream has agreed on. Behind one name there may be upstreams that
// agree on different ones.
func (p *pool) roundTrip(r *Route, req *http.Request) (resp *http.Response, err error) {
	h2 := p.speaksH2()
	for range maxProtocolChanges {
		if h2 {
			resp, err = p.overH2(r, req)
		} else {
			resp, err = p.overHTTP1(r, req)
		}
		if !errors.Is(err, errSpeaksHTTP1) && !errors.Is(err, errSpeaksH2) {
			break
		}
		h2 = !h2
	}
	return resp, err
}

func (p *pool) speaksH2() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.h2
}

// overH2 leaves the request to net/http.
func (p *pool) overH2(r *Route, req *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { r.Conn.Remote = addrPortOf(info.Conn) },
	}
	if r.Informational != nil {
		trace.Got1xxResponse = func(status int, h textproto.MIMEHeader) error { return r.Informational(status, http.Header(h)) }
	}
	out := req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
	if out.Body != nil {
		out.Body = &untouched{ReadCloser: out.Body}
	}
	resp, err := p.transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	r.Conn.TLS = resp.TLS
	return resp, nil
}

// untouched is content that stays as it is where it is closed before it was read:
// net/http does that when it gets no connection, and HTTP/1 has to send it then.
type untouched struct {
	io.ReadCloser
	mu           sync.Mutex
	read, closed bool
}

// Read implements io.Reader.
func (u *untouched) Read(p []byte) (int, error) {
	u.mu.Lock()
	u.read = !u.closed || u.read
	read := u.read
	u.mu.Unlock()
	if !read {
		return 0, http.ErrBodyReadAfterClose
	}
	return u.ReadCloser.Read(p)
}

// Close implements io.Closer.
func (u *untouched) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	if !u.read {
		return nil
	}
	return u.ReadCloser.Close()
}

// takeH2 is what net/http dials with.
func (p *pool) takeH2(ctx context.Context) (*tls.Conn, error) {
	c, err := p.takeTLS(ctx)
	if err != nil {
		return nil, err
	}
	if c.ConnectionState().NegotiatedProtocol != protocolH2 {
		p.keep(c)
		return nil, errSpeaksHTTP1
	}
	return c, nil
}

// overHTTP1 sends the request over a connection that is not in use. The upstream
// may be closing it at this moment: a request that can have had no effect is sent
// again then.
func (p *pool) overHTTP1(r *Route, req *http.Request) (*http.Response, error) {
	terms := http1.Terms{Header: p.c.ResponseHeader, Informational: r.Informational}
	for {
		c, used, err := p.take(req.Context())
		if err != nil {
			return nil, err
		}
		r.Conn = c.as
		terms.Reuse = func() { p.release(c) }
		resp, err := c.RoundTrip(req, terms)
		if err == nil || !used || c.Answered() || !repeatable(req) || errors.Is(err, os.ErrDeadlineExceeded) || req.Context().Err() != nil {
			return resp, err
		}
	}
}

// repeatable reports whether a request may be sent twice: it is safe (RFC 9110,
// section 9.2.1), and none of its content is gone.
func repeatable(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return req.Body == nil || req.Body == http.NoBody
	}
	return false
}

// take returns a connection for one request; used says that it had others before.
func (p *pool) take(ctx context.Context) (c *idleConn, used bool, err error) {
	for c := p.unused(); c != nil; c = p.unused() {
		if c.Idle() {
			return c, true, nil
		}
		_ = c.Close()
	}
	if p.tls == nil {
		raw, err := p.dial(ctx)
		if err != nil {
			return nil, false, err
		}
		return &idleConn{Conn: http1.New(raw), raw: raw, as: Conn{Remote: addrPortOf(raw)}}, false, nil
	}
	secure, err := p.takeTLS(ctx)
	if err != nil {
		return nil, false, err
	}
	state := secure.ConnectionState()
	if state.NegotiatedProtocol == protocolH2 {
		p.keep(secure)
		return nil, false, errSpeaksH2
	}
	raw := secure.NetConn().(*pooledConn)
	return &idleConn{Conn: http1.New(secure), raw: raw, as: Conn{Remote: addrPortOf(raw), TLS: &state}}, false, nil
}

func (p *pool) unused() *idleConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idle.take()
}

// release keeps a connection for the next request.
func (p *pool) release(c *idleConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || len(p.idle.conns) >= p.c.IdlePerHost {
		_ = c.raw.closeLocked()
		return
	}
	p.idle.add(c, p.c.IdleConn, p.expireIdle)
}

func (p *pool) expireIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle.expire(p.c.IdleConn)
}
