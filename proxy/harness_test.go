package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/ruleset"
	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/proxy"
	"github.com/signet-egress/signet/proxy/mitm"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
	"github.com/signet-egress/signet/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a proxy with everything real around it, and the hosts that it knows:
// every name resolves to loopback, which the policy opens.
type bench struct {
	t       testing.TB
	addr    string
	ca      *peers.CA
	root    *x509.CertPool // what an agent trusts: the interception CA and the test CA
	proxy   *proxy.Proxy
	snap    atomic.Pointer[proxy.Snapshot]
	journal *gatedJournal
	logs    *logBuffer
	stop    func()

	secure *peers.Upstream // for up.test and other.test
	plain  *peers.Upstream
	raw    net.Listener // an upstream that the test itself plays
}

// swap replaces the policy, as a reload does.
func (b *bench) swap(rules string) (cut int) {
	b.t.Helper()
	set := loadPolicy(b.t, b.openPorts(rules))
	b.snap.Store(&proxy.Snapshot{Policy: set.Policy, Version: set.Version, Guard: resolver.NewGuard(set.Policy.Holes(), nil, nil)})
	return b.proxy.Revalidate()
}

func (b *bench) rawPort() int { return b.raw.Addr().(*net.TCPAddr).Port }

type options struct {
	policy   string // without version and addresses; PORT is the upstreams' ports
	ca       *peers.CA
	agents   proxy.Agents
	dns      string // upstream; none where every host is static
	timeouts proxy.Timeouts
	now      func() time.Time
	drain    time.Duration // 0: as long as it takes a test that closes what it opened
}

var loopback = netip.MustParseAddr("127.0.0.1")

func start(t testing.TB, o options) *bench {
	t.Helper()
	if o.drain == 0 {
		o.drain = time.Minute
	}
	b := &bench{t: t, ca: o.ca, logs: &logBuffer{}}
	if b.ca == nil {
		b.ca = testkit.CA(t)
	}
	dir := t.TempDir()
	set := loadPolicy(t, b.startPeers(o.policy))

	key, _, err := journal.LoadKey(dir, "")
	must(t, err)
	j, err := journal.Open(t.Context(), journal.Options{Dir: dir, Key: key.Key, Tenant: "acme", Agent: "tester", Build: "test", PolicyVersion: set.Version})
	must(t, err)
	b.journal = &gatedJournal{Journal: j, dir: dir}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	b.addr = l.Addr().String()
	res, err := resolver.New(resolverConfig(o))
	must(t, err)
	guard := resolver.NewGuard(set.Policy.Holes(), []netip.AddrPort{netip.MustParseAddrPort(b.addr)}, nil)
	b.snap.Store(&proxy.Snapshot{Policy: set.Policy, Version: set.Version, Guard: guard, Agents: o.agents})
	authority, err := mitm.Open(mitm.Options{Dir: dir, Hosts: set.Policy.InterceptedHosts()})
	must(t, err)
	b.root = b.ca.Pool()
	b.root.AppendCertsFromPEM(authority.RootPEM())
	ups := proxy.NewUpstreams(proxy.UpstreamConfig{Dial: (&resolver.Dialer{}).Dial, Roots: b.ca.Pool()})
	p, err := proxy.New(proxy.Config{
		Tenant: "acme", Agent: "tester", Via: "signet-test", Snapshot: b.snap.Load,
		Journal: b.journal, Pins: res, Upstream: ups, Minter: authority, Timeouts: o.timeouts, Now: o.now, Logger: b.logs.logger(),
	})
	must(t, err)
	b.proxy = p
	server := proxy.NewServer(p)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	b.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), o.drain)
		defer cancel()
		_ = server.Shutdown(ctx) // an error tells of what a test left open
		must(t, <-served)
		ups.Close()
		res.Close()
		must(t, j.Close(context.Background()))
	})
	t.Cleanup(b.stop)
	return b
}

// startPeers gives a bench its upstreams, and opens their ports in the policy.
func (b *bench) startPeers(policy string) string {
	b.secure = testkit.Secure(b.t, b.ca, "up.test", "other.test")
	b.plain = testkit.Plain(b.t)
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	must(b.t, err)
	b.t.Cleanup(func() { _ = raw.Close() })
	b.raw = raw
	return b.openPorts(policy)
}

func (b *bench) openPorts(policy string) string {
	return strings.ReplaceAll(policy, "PORT", fmt.Sprintf("%d, %d, %d", b.secure.Port(), b.plain.Port(), b.rawPort()))
}

func resolverConfig(o options) resolver.Config {
	c := resolver.Config{Upstreams: []string{"udp://127.0.0.1:9"}} // discard: a query there is a failure
	if o.dns != "" {
		c.Upstreams = []string{o.dns}
		return c
	}
	for _, name := range []string{"up.test", "other.test", "plain.test", "api.test"} {
		c.Hosts = append(c.Hosts, resolver.Host{Name: name, Addresses: []netip.Addr{loopback}})
	}
	return c
}

func loadPolicy(t testing.TB, rules string) *ruleset.Set {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := "version: 1\n" + rules
	if !strings.Contains(rules, "addresses:") {
		text += "\naddresses:\n  allow: [127.0.0.0/8]\n"
	}
	must(t, os.WriteFile(file, []byte(text), 0o600))
	set, err := ruleset.Load(file)
	must(t, err)
	return set
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// client is an ordinary Go client of the proxy.
func (b *bench) client(h2 bool) *http.Client {
	tr := &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: b.addr}),
		TLSClientConfig:   &tls.Config{RootCAs: b.root, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: h2,
	}
	b.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// dial opens a raw connection to the proxy.
func (b *bench) dial() net.Conn {
	b.t.Helper()
	c, err := net.Dial("tcp", b.addr)
	must(b.t, err)
	b.t.Cleanup(func() { _ = c.Close() })
	return c
}

// connect opens a tunnel, which must be allowed.
func (b *bench) connect(authority string, fields ...string) net.Conn {
	b.t.Helper()
	c := b.dial()
	head := append([]string{"CONNECT " + authority + " HTTP/1.1", "Host: " + authority}, fields...)
	_, err := io.WriteString(c, strings.Join(head, "\r\n")+"\r\n\r\n")
	must(b.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(oneByOne{c}), &http.Request{Method: http.MethodConnect})
	must(b.t, err)
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("CONNECT %s: %s", authority, resp.Status)
	}
	return c
}

// oneByOne keeps a bufio.Reader from reading past the head.
type oneByOne struct{ io.Reader }

func (o oneByOne) Read(p []byte) (int, error) { return o.Reader.Read(p[:1]) }

// receipts returns the chain's receipts, after the proxy has stopped and the
// whole chain has verified.
func (b *bench) receipts() []*receipts.Receipt {
	b.t.Helper()
	b.stop()
	r, err := journal.OpenReader(b.journal.dir)
	must(b.t, err)
	defer func() { must(b.t, r.Close()) }()
	v := receipts.NewVerifier(nil)
	var out []*receipts.Receipt
	must(b.t, r.Range(context.Background(), 1, func(_ int64, line []byte) error {
		if err := v.Add(line); err != nil {
			return err
		}
		rec, err := receipts.Decode(line)
		if err != nil {
			return err
		}
		if receipt, ok := rec.(*receipts.Receipt); ok {
			out = append(out, receipt)
		}
		return nil
	}))
	return out
}

// only is the one receipt of a test that makes one exchange.
func (b *bench) only() *receipts.Receipt {
	b.t.Helper()
	all := b.receipts()
	if len(all) != 1 {
		b.t.Fatalf("%d receipts, want 1", len(all))
	}
	return all[0]
}

// gatedJournal is the real journal whose intents and receipts a test can hold
// back, and whose failures it can cause.
type gatedJournal struct {
	*journal.Journal
	dir string

	mu     sync.Mutex
	gate   chan struct{} // nil: open
	broken error
	spoil  func(*receipts.Receipt) // makes the next receipt one that the journal refuses
	waits  chan struct{}           // a receipt is waiting at the gate

	intents atomic.Pointer[gate] // nil: open
}

// gate holds who comes to it until it is opened.
type gate struct{ come, open chan struct{} }

// holdIntents makes intents wait until the returned gate is opened.
func (g *gatedJournal) holdIntents() *gate {
	held := &gate{come: make(chan struct{}, 1), open: make(chan struct{})}
	g.intents.Store(held)
	return held
}

func (g *gatedJournal) Begin(r *receipts.Receipt, dissolve string) error {
	if held := g.intents.Load(); held != nil {
		held.come <- struct{}{}
		<-held.open
	}
	return g.Journal.Begin(r, dissolve)
}

// hold makes receipts wait until the returned function is called.
func (g *gatedJournal) hold() (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gate := make(chan struct{})
	g.gate, g.waits = gate, make(chan struct{}, 64)
	return sync.OnceFunc(func() { close(gate) })
}

// fail makes receipts fail from now on.
func (g *gatedJournal) fail() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken = errors.New("the disk is gone")
}

// waiting returns once a receipt is held.
func (g *gatedJournal) waiting() { <-g.waits }

func (g *gatedJournal) Finish(r *receipts.Receipt) proxy.Commit {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.spoil != nil {
		g.spoil(r)
		g.spoil = nil
	}
	c := &gatedCommit{gate: g.gate, waits: g.waits, err: g.broken}
	if g.broken == nil {
		c.commit = g.Journal.Finish(r)
	}
	return c
}

type gatedCommit struct {
	commit      proxy.Commit
	gate, waits chan struct{}
	err         error
}

func (c *gatedCommit) Wait() error {
	if c.gate != nil {
		c.waits <- struct{}{}
		<-c.gate
	}
	if c.err != nil {
		return c.err
	}
	return c.commit.Wait()
}
