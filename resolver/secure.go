package resolver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxStreams bounds the questions under way at one encrypted upstream. It is
	// wide, so that names whose own servers are slow do not hold up the others.
	maxStreams = 64
	// maxIdle bounds the connections to it that wait for the next question.
	maxIdle = 8
	// idleTime is how long they wait: shorter than servers do, since a question
	// on a connection that the server has closed is asked twice.
	idleTime = 10 * time.Second
	// paddedTo is the block that the length of an encrypted query is a multiple
	// of, so that it does not tell the name (RFC 8467, section 4.1).
	paddedTo = 128
)

// secure is an upstream over TLS (RFC 7858). Each connection carries one
// question at a time, and is used again for the next.
type secure struct {
	addr    string
	name    string
	config  *tls.Config
	streams chan struct{} // one element for each question under way

	mu     sync.Mutex // guards all below
	idle   []idleConn // the most recently used last
	closed bool
}

type idleConn struct {
	*tls.Conn
	since time.Time
}

func newSecure(ap netip.AddrPort, name string, roots *x509.CertPool) *secure {
	return &secure{
		addr:    ap.String(),
		name:    "tls://" + ap.String() + nameQuery(name),
		config:  tlsConfig(ap, name, roots, "dot"),
		streams: make(chan struct{}, maxStreams),
	}
}

// tlsConfig verifies a server's certificate for name, or for its IP address
// where the configuration gives no name.
func tlsConfig(ap netip.AddrPort, name string, roots *x509.CertPool, protocols ...string) *tls.Config {
	if name == "" {
		name = ap.Addr().WithZone("").String()
	}
	return &tls.Config{
		ServerName:         name,
		RootCAs:            roots,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         protocols,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
}

func nameQuery(name string) string {
	if name == "" {
		return ""
	}
	return "?name=" + name
}

func (s *secure) String() string { return s.name }

// exchange asks over a connection that waits, and over a new one if there is
// none or if it turns out that the server has closed it.
func (s *secure) exchange(ctx context.Context, q dns.Question) (*dns.Msg, error) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c := s.take(time.Now()); c != nil {
		m, err := s.ask(ctx, c, q)
		if err == nil || ctx.Err() != nil {
			return m, err
		}
	}
	c, err := s.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting over TLS: %w", err)
	}
	return s.ask(ctx, c, q)
}

func (s *secure) dial(ctx context.Context) (*tls.Conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, contextError(ctx, err)
	}
	c := tls.Client(raw, s.config)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, contextError(ctx, err)
	}
	return c, nil
}

// ask puts q on c, and keeps c for the next question only if all went well: an
// answer that comes late must not meet another question.
func (s *secure) ask(ctx context.Context, c *tls.Conn, q dns.Question) (*dns.Msg, error) {
	release := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	m, err := converse(c, q)
	switch inTime := release(); {
	case err == nil && inTime:
		s.keep(idleConn{c, time.Now()})
	case !inTime:
		s.drop() // a path that has gone silent takes the others with it
		fallthrough
	default:
		_ = c.NetConn().Close()
	}
	if err != nil {
		return nil, fmt.Errorf("asking over TLS: %w", contextError(ctx, err))
	}
	return m, nil
}

func converse(c net.Conn, q dns.Question) (*dns.Msg, error) {
	query := newQuery(q)
	pad(query)
	conn := &dns.Conn{Conn: c}
	if err := conn.WriteMsg(query); err != nil {
		return nil, err
	}
	wire, err := conn.ReadMsgHeader(nil)
	if err != nil {
		return nil, err
	}
	return decodeWhole(wire, query.Id, q)
}

// pad brings m to a length that does not tell what is asked (RFC 7830).
func pad(m *dns.Msg) {
	const header = 4 // of the option itself
	opt := m.IsEdns0()
	length := m.Len() + header
	opt.Option = append(opt.Option, &dns.EDNS0_PADDING{Padding: make([]byte, (paddedTo-length%paddedTo)%paddedTo)})
}

// take returns the connection that was used last, if it has not waited for too
// long; the others have waited longer.
func (s *secure) take(now time.Time) *tls.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.idle)
	if n == 0 {
		return nil
	}
	last := s.idle[n-1]
	if now.Sub(last.since) > idleTime {
		s.dropLocked()
		return nil
	}
	s.idle = s.idle[:n-1]
	return last.Conn
}

func (s *secure) keep(c idleConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle) == maxIdle {
		_ = c.NetConn().Close()
		return
	}
	s.idle = append(s.idle, c)
}

func (s *secure) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked()
}

func (s *secure) dropLocked() {
	for _, c := range s.idle {
		_ = c.NetConn().Close()
	}
	s.idle = nil
}

func (s *secure) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.dropLocked()
}
