package mitm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a clock that stands still until a test moves it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now().Truncate(time.Second)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// counts is an Observer.
type counts struct{ hits, misses, mints, failures atomic.Int64 }

func (c *counts) LeafCached(hit bool) {
	if hit {
		c.hits.Add(1)
	} else {
		c.misses.Add(1)
	}
}

func (c *counts) LeafMinted(err error) {
	if err != nil {
		c.failures.Add(1)
	} else {
		c.mints.Add(1)
	}
}

func open(t testing.TB, o Options) *Authority {
	t.Helper()
	if o.Dir == "" && o.CertFile == "" {
		o.Dir = t.TempDir()
	}
	a, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func serverConfig(t testing.TB, a *Authority, host string, alpn ...string) *tls.Config {
	t.Helper()
	c, err := a.ServerConfig(t.Context(), host, alpn)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// trust is a client that trusts the root and nothing else.
func trust(t testing.TB, a *Authority, host string, c *clock) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(a.RootPEM()) {
		t.Fatal("the root is not PEM")
	}
	config := &tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12}
	if c != nil {
		config.Time = c.now
	}
	return config
}

// handshake connects client to server over loopback and carries a byte back, so
// that a TLS 1.3 client has its session ticket.
func handshake(t testing.TB, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := listener.Accept()
		if err != nil {
			return
		}
		conn := tls.Server(raw, server)
		defer conn.Close()
		_, _ = conn.Write([]byte("x")) // fails with the handshake, which the client reports
	}()
	defer func() { <-done }()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, client)
	defer conn.Close()
	if err := conn.Handshake(); err != nil {
		return tls.ConnectionState{}, err
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return tls.ConnectionState{}, err
	}
	return conn.ConnectionState(), nil
}

func TestClientsThatTrustTheRootAcceptLeaves(t *testing.T) {
	a := open(t, Options{Hosts: []string{"api.openai.com", "*.openai.azure.com", "**.example", "192.0.2.7", "2001:db8::7"}})
	for _, host := range []string{"api.openai.com", "east.openai.azure.com", "a.b.example", "192.0.2.7", "2001:db8::7"} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s over %s", host, tls.VersionName(version)), func(t *testing.T) {
				client := trust(t, a, host, nil)
				client.MaxVersion = version
				client.NextProtos = []string{"http/1.1", "h2"}
				state, err := handshake(t, serverConfig(t, a, host, "h2", "http/1.1"), client)
				if err != nil {
					t.Fatal(err)
				}
				if state.NegotiatedProtocol != "h2" {
					t.Errorf("protocol %q, want the server's preference h2", state.NegotiatedProtocol)
				}
				if state.Version != version {
					t.Errorf("version %s", tls.VersionName(state.Version))
				}
				if got := len(state.VerifiedChains[0]); got != 3 {
					t.Errorf("chain of %d certificates, want leaf, intermediate and root", got)
				}
				checkLeaf(t, state.PeerCertificates[0], host)
			})
		}
	}
}

// checkLeaf holds a leaf against security behaviour 57.
func checkLeaf(t *testing.T, leaf *x509.Certificate, host string) {
	t.Helper()
	var names []string
	names = append(names, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		addr, _ := netip.AddrFromSlice(ip)
		names = append(names, addr.Unmap().String())
	}
	if !slices.Equal(names, []string{host}) || len(leaf.URIs)+len(leaf.EmailAddresses) > 0 {
		t.Errorf("names %v, want %s alone", names, host)
	}
	if leaf.Subject.CommonName != "" {
		t.Errorf("common name %q, which clients may read as a host", leaf.Subject.CommonName)
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 24*time.Hour {
		t.Errorf("lives %s", life)
	}
	if leaf.IsCA || !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Errorf("CA %v, usages %v", leaf.IsCA, leaf.ExtKeyUsage)
	}
	if bits := leaf.SerialNumber.BitLen(); bits > 128 || bits < 96 {
		t.Errorf("serial number of %d bits is not random", bits)
	}
}

func TestHostsOutsideTheConstraintsGetNoLeaf(t *testing.T) {
	seen := new(counts)
	a := open(t, Options{Hosts: []string{"api.example", "192.0.2.7"}, Observer: seen})
	for _, host := range []string{"other.example", "evil-api.example", "example", "192.0.2.8", "::ffff:192.0.2.7", "", "*.api.example", "API.example", "api.example."} {
		_, err := a.ServerConfig(t.Context(), host, nil)
		var unknown *HostError
		if !errors.As(err, &unknown) {
			t.Errorf("%q: %v, want a HostError", host, err)
		}
	}
	if n := seen.mints.Load(); n != 0 {
		t.Errorf("%d leaves minted", n)
	}
}

func TestSessionsResumeWithinOneHostOnly(t *testing.T) {
	a := open(t, Options{Hosts: []string{"**.example"}})
	sessions := tls.NewLRUClientSessionCache(8)
	connect := func(host, server string) bool {
		t.Helper()
		client := trust(t, a, host, nil)
		client.ClientSessionCache = sessions
		state, err := handshake(t, serverConfig(t, a, server), client)
		if err != nil {
			t.Fatal(err)
		}
		return state.DidResume
	}
	if connect("a.example", "a.example") {
		t.Error("the first connection resumed")
	}
	if !connect("a.example", "a.example") {
		t.Error("the second connection did not resume")
	}
	// A ticket of one host, offered to another, opens nothing there: the client
	// gets a full handshake and, in it, a leaf that is not for the host it wants.
	client := trust(t, a, "a.example", nil)
	client.ClientSessionCache = sessions
	if _, err := handshake(t, serverConfig(t, a, "b.example"), client); err == nil {
		t.Error("a session of one host was taken by another")
	}
}

func TestLeavesAreMintedOnceForAllWhoWait(t *testing.T) {
	seen := new(counts)
	a := open(t, Options{Hosts: []string{"**.example"}, Observer: seen})
	const clients, hosts = 32, 4
	configs := make([][clients]*tls.Config, hosts)
	var wg sync.WaitGroup
	for h := range hosts {
		for c := range clients {
			wg.Go(func() {
				configs[h][c] = serverConfig(t, a, fmt.Sprintf("h%d.example", h), "h2")
			})
		}
	}
	wg.Wait()
	if n := seen.mints.Load(); n != hosts {
		t.Errorf("%d leaves for %d hosts", n, hosts)
	}
	if n := seen.hits.Load() + seen.misses.Load(); n != clients*hosts {
		t.Errorf("%d look-ups were observed, want %d", n, clients*hosts)
	}
	for h := range hosts {
		for _, c := range configs[h] {
			if c != configs[h][0] {
				t.Fatal("clients of one host got different configurations")
			}
		}
	}
}

func TestProtocolsShareALeaf(t *testing.T) {
	seen := new(counts)
	a := open(t, Options{Hosts: []string{"a.example"}, Observer: seen})
	both, one := serverConfig(t, a, "a.example", "h2", "http/1.1"), serverConfig(t, a, "a.example", "http/1.1")
	if both == one || !slices.Equal(one.NextProtos, []string{"http/1.1"}) {
		t.Errorf("protocols %v", one.NextProtos)
	}
	if n := seen.mints.Load(); n != 1 {
		t.Errorf("%d leaves minted", n)
	}
	for i := range 2 * configsPerLeaf {
		if c := serverConfig(t, a, "a.example", fmt.Sprint(i)); c.NextProtos[0] != fmt.Sprint(i) {
			t.Errorf("protocols %v", c.NextProtos)
		}
	}
	if n := len(a.leaves.get("a.example", 1, time.Now()).configs); n != configsPerLeaf {
		t.Errorf("%d configurations are kept", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	seen := new(counts)
	a := open(t, Options{Hosts: []string{"**.example"}, CacheSize: 2, Observer: seen})
	for _, host := range []string{"a.example", "b.example", "a.example", "c.example", "a.example"} {
		serverConfig(t, a, host)
	}
	if n := seen.mints.Load(); n != 3 {
		t.Errorf("%d leaves minted, want 3: a was used last and stays", n)
	}
	serverConfig(t, a, "b.example")
	if n := seen.mints.Load(); n != 4 {
		t.Errorf("%d leaves minted, want 4: b had to leave", n)
	}
	if n := len(a.leaves.hosts); n != 2 {
		t.Errorf("%d leaves are kept", n)
	}
}

func TestMintingRateIsLimited(t *testing.T) {
	now := newClock()
	a := open(t, Options{Hosts: []string{"**.example"}, MintPerSecond: 1, MintBurst: 2, Now: now.now})
	serverConfig(t, a, "a.example")
	serverConfig(t, a, "b.example")
	if _, err := a.ServerConfig(t.Context(), "c.example", nil); !errors.Is(err, ErrMintRate) {
		t.Fatalf("got %v, want ErrMintRate", err)
	}
	serverConfig(t, a, "a.example") // one that exists is no minting
	now.advance(time.Second)
	serverConfig(t, a, "c.example")
}

func TestEndedContextMintsNothing(t *testing.T) {
	a := open(t, Options{Hosts: []string{"a.example"}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.ServerConfig(ctx, "a.example", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestRenew(t *testing.T) {
	a := open(t, Options{Hosts: []string{"old.example"}})
	before := serverConfig(t, a, "old.example")
	if err := a.Renew([]string{"bad_pattern*"}); err == nil {
		t.Fatal("a pattern that is none was accepted")
	}
	if a.Generation() != 1 || serverConfig(t, a, "old.example") != before {
		t.Error("a failed renewal changed something")
	}
	if err := a.Renew([]string{"new.example"}); err != nil {
		t.Fatal(err)
	}
	if a.Generation() != 2 {
		t.Errorf("generation %d", a.Generation())
	}
	var unknown *HostError
	if _, err := a.ServerConfig(t.Context(), "old.example", nil); !errors.As(err, &unknown) {
		t.Errorf("old host: %v", err)
	}
	if _, err := handshake(t, serverConfig(t, a, "new.example"), trust(t, a, "new.example", nil)); err != nil {
		t.Errorf("new host: %v", err)
	}
	if _, err := handshake(t, before, trust(t, a, "old.example", nil)); err != nil {
		t.Errorf("a connection that has the old leaf: %v", err)
	}
}
