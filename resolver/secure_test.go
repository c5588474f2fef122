package resolver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var question = dns.Question{Name: host + ".", Qtype: dns.TypeA, Qclass: dns.ClassINET}

// tlsServer is a real server over TLS, with a goroutine for each connection.
type tlsServer struct {
	addr netip.AddrPort

	mu    sync.Mutex
	conns []net.Conn
}

// startTLS calls serve for each connection, the first of which has the number 1,
// and closes the connection when it returns.
func startTLS(t testing.TB, config *tls.Config, serve func(n int, c *dns.Conn)) *tlsServer {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &tlsServer{addr: netip.MustParseAddrPort(l.Addr().String())}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			n := len(s.conns)
			s.mu.Unlock()
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				serve(n, &dns.Conn{Conn: tls.Server(c, config)})
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		wg.Wait()
	})
	return s
}

func (s *tlsServer) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// answering answers every query with the records that have its type.
func answering(lines ...string) func(int, *dns.Conn) {
	return func(_ int, c *dns.Conn) {
		for {
			query, err := c.ReadMsg()
			if err != nil {
				return
			}
			reply := new(dns.Msg).SetReply(query)
			fill(reply, lines...)
			if c.WriteMsg(reply) != nil {
				return
			}
		}
	}
}

func newTestSecure(t testing.TB, s *tlsServer, name string, roots *x509.CertPool) *secure {
	t.Helper()
	u := newSecure(s.addr, name, roots)
	t.Cleanup(u.close)
	return u
}

func TestPinOverTLS(t *testing.T) {
	ca := newCA(t)
	byIP := ca.server(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, loopbackIPs })
	for query, config := range map[string]*tls.Config{"?name=" + dnsName: ca.server(nil), "": byIP} {
		s := startTLS(t, config, answering(host+". 60 IN A 9.9.9.9", host+". 60 IN AAAA 2620:fe::fe"))
		r := newResolver(t, Config{Upstreams: []string{"tls://" + s.addr.String() + query}, Roots: ca.roots})
		p, err := r.Pin(t.Context(), host, 443, newGuard())
		if err != nil {
			t.Fatal(err)
		}
		if addresses(p) != "9.9.9.9 2620:fe::fe" || p.Resolver != "tls://"+s.addr.String()+query {
			t.Errorf("%q: got %+v", query, p)
		}
	}
}

func TestTLSVerifiesTheServer(t *testing.T) {
	ca := newCA(t)
	for name, c := range hostileServers(t, ca) {
		t.Run(name, func(t *testing.T) {
			s := startTLS(t, c.config, func(_ int, conn *dns.Conn) {
				if _, err := conn.ReadMsg(); err == nil {
					t.Error("a query was sent")
				}
			})
			_, err := newTestSecure(t, s, dnsName, ca.roots).exchange(t.Context(), question)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestTLSConnectionsAreUsedAgain(t *testing.T) {
	ca := newCA(t)
	s := startTLS(t, ca.server(nil), answering(host+". 60 IN A 9.9.9.9"))
	u := newTestSecure(t, s, dnsName, ca.roots)
	for range 5 {
		if _, err := u.exchange(t.Context(), question); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.connections(); n != 1 {
		t.Errorf("%d connections for five questions", n)
	}
	if c := u.take(time.Now().Add(idleTime + time.Second)); c != nil || len(u.idle) != 0 {
		t.Error("a connection is used after its time")
	}
}

func TestTLSConnectionsAreBounded(t *testing.T) {
	ca := newCA(t)
	arrived, release := make(chan struct{}, 4*maxStreams), make(chan struct{})
	var open, most atomic.Int32
	s := startTLS(t, ca.server(nil), func(n int, c *dns.Conn) {
		defer open.Add(-1)
		if now := open.Add(1); now > most.Load() {
			most.Store(now)
		}
		arrived <- struct{}{}
		<-release
		answering(host+". 60 IN A 9.9.9.9")(n, c)
	})
	u := newTestSecure(t, s, dnsName, ca.roots)
	var wg sync.WaitGroup
	for range 2 * maxStreams {
		wg.Go(func() {
			if _, err := u.exchange(t.Context(), question); err != nil {
				t.Error(err)
			}
		})
	}
	for range maxStreams {
		<-arrived
	}
	if n := most.Load(); n != maxStreams {
		t.Errorf("%d connections", n)
	}
	close(release)
	wg.Wait()
	if len(u.idle) > maxIdle || len(u.idle) == 0 {
		t.Errorf("%d connections wait", len(u.idle))
	}
	ctx, cancel := context.WithCancel(t.Context())
	for range maxStreams {
		u.streams <- struct{}{}
	}
	cancel()
	if _, err := u.exchange(ctx, question); !errors.Is(err, context.Canceled) {
		t.Errorf("with all streams in use: %v", err)
	}
}

func TestTLSServerThatHangsUp(t *testing.T) {
	ca := newCA(t)
	s := startTLS(t, ca.server(nil), func(_ int, c *dns.Conn) {
		// One question, and then it has had enough.
		query, err := c.ReadMsg()
		if err != nil {
			return
		}
		reply := new(dns.Msg).SetReply(query)
		fill(reply, host+". 60 IN A 9.9.9.9")
		_ = c.WriteMsg(reply)
	})
	u := newTestSecure(t, s, dnsName, ca.roots)
	for range 3 {
		if _, err := u.exchange(t.Context(), question); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.connections(); n != 3 {
		t.Errorf("%d connections", n)
	}
}

func TestLateAnswerMeetsNoOtherQuestion(t *testing.T) {
	ca := newCA(t)
	asked, abandoned := make(chan struct{}), make(chan struct{})
	s := startTLS(t, ca.server(nil), func(n int, c *dns.Conn) {
		if n > 1 {
			answering(host+". 60 IN A 9.9.9.9")(n, c)
			return
		}
		query, err := c.ReadMsg()
		if err != nil {
			return
		}
		close(asked)
		<-abandoned
		reply := new(dns.Msg).SetReply(query)
		fill(reply, host+". 60 IN A 8.8.8.8")
		_ = c.WriteMsg(reply)
	})
	u := newTestSecure(t, s, dnsName, ca.roots)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := u.exchange(ctx, question)
		result <- err
	}()
	<-asked
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	close(abandoned)
	m, err := u.exchange(t.Context(), question)
	if err != nil || len(m.Answer) != 1 || !strings.Contains(m.Answer[0].String(), "9.9.9.9") {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestHostileAnswersOverTLS(t *testing.T) {
	ca := newCA(t)
	spoil := func(change func(*dns.Msg)) func(*dns.Conn, *dns.Msg) {
		return func(c *dns.Conn, reply *dns.Msg) {
			change(reply)
			_ = c.WriteMsg(reply)
		}
	}
	for name, c := range map[string]struct {
		answer func(*dns.Conn, *dns.Msg)
		want   string
	}{
		"wrong ID":       {spoil(func(m *dns.Msg) { m.Id++ }), "wrong ID"},
		"wrong name":     {spoil(func(m *dns.Msg) { m.Question[0].Name = "evil.example." }), "wrong question"},
		"wrong case":     {spoil(func(m *dns.Msg) { m.Question[0].Name = strings.ToUpper(m.Question[0].Name) }), "wrong question"},
		"truncated":      {spoil(func(m *dns.Msg) { m.Truncated = true }), "truncated"},
		"garbage":        {func(c *dns.Conn, _ *dns.Msg) { _, _ = c.Conn.Write([]byte("\x00\x10garbage garbage!")) }, "not an answer"},
		"no message":     {func(c *dns.Conn, _ *dns.Msg) { _, _ = c.Conn.Write([]byte{0, 0}) }, "short read"},
		"half a message": {func(c *dns.Conn, _ *dns.Msg) { _, _ = c.Conn.Write([]byte{0xff, 0xff, 1, 2, 3}) }, io.ErrUnexpectedEOF.Error()},
		"nothing":        {func(*dns.Conn, *dns.Msg) {}, io.EOF.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			s := startTLS(t, ca.server(nil), func(_ int, conn *dns.Conn) {
				query, err := conn.ReadMsg()
				if err != nil {
					return
				}
				reply := new(dns.Msg).SetReply(query)
				fill(reply, host+". 60 IN A 9.9.9.9")
				c.answer(conn, reply)
				_ = conn.Close()
			})
			u := newTestSecure(t, s, dnsName, ca.roots)
			_, err := u.exchange(t.Context(), question)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if len(u.idle) != 0 {
				t.Error("the connection is kept")
			}
		})
	}
}

// TestStalledTLS has servers that accept and then say nothing, or not enough.
func TestStalledTLS(t *testing.T) {
	ca := newCA(t)
	block := func(c *dns.Conn) { _, _ = io.Copy(io.Discard, c.Conn) }
	for name, serve := range map[string]func(int, *dns.Conn){
		"before the handshake": func(_ int, c *dns.Conn) { _, _ = io.Copy(io.Discard, c.Conn.(*tls.Conn).NetConn()) },
		"before the answer":    func(_ int, c *dns.Conn) { block(c) },
		"within the answer": func(_ int, c *dns.Conn) {
			if _, err := c.ReadMsg(); err == nil {
				_, _ = c.Conn.Write([]byte{0xff, 0xff, 1})
				block(c)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startTLS(t, ca.server(nil), serve)
			r := newResolver(t, Config{Upstreams: []string{"tls://" + s.addr.String() + "?name=" + dnsName}, Roots: ca.roots, Timeout: 60 * time.Millisecond})
			_, err := r.Pin(t.Context(), host, 443, newGuard())
			if le, ok := errors.AsType[*LookupError](err); !ok || !le.Timeout {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestEncryptedQueriesAreOfOneLength(t *testing.T) {
	for _, name := range []string{"a.example.", host + ".", strings.Repeat("abcdefghi.", 20)} {
		m := newQuery(dns.Question{Name: name, Qtype: dns.TypeAAAA, Qclass: dns.ClassINET})
		pad(m)
		wire, err := m.Pack()
		if err != nil || len(wire)%paddedTo != 0 || len(wire) > 3*paddedTo {
			t.Errorf("%s: %d bytes, %v", name, len(wire), err)
		}
	}
}
