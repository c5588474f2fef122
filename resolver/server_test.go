package resolver

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script answers one query; network is udp or tcp. reply answers the query with
// no records, ready to be filled or spoilt.
type script func(w dns.ResponseWriter, reply *dns.Msg, network string)

// nameserver is a real DNS server on loopback that can be told to misbehave.
type nameserver struct {
	url string

	mu     sync.Mutex
	script script
	count  map[string]int // by "network type"
	names  []string
	ports  map[string]bool // source ports over UDP
}

func startServer(t testing.TB, s script) *nameserver {
	t.Helper()
	srv := &nameserver{script: s, count: map[string]int{}, ports: map[string]bool{}}
	packets, listener := listenBoth(t)
	srv.url = "udp://" + packets.LocalAddr().String()
	for _, d := range []*dns.Server{
		{PacketConn: packets, Handler: srv.handler("udp")},
		{Listener: listener, Handler: srv.handler("tcp")},
	} {
		started, stopped := make(chan struct{}), make(chan error, 1)
		d.NotifyStartedFunc = func() { close(started) }
		go func() { stopped <- d.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			_ = d.Shutdown()
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	}
	return srv
}

// listenBoth listens over UDP and TCP on one free port.
func listenBoth(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	var lc net.ListenConfig
	for range 100 {
		packets, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener, err := lc.Listen(t.Context(), "tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, listener
		}
		_ = packets.Close()
	}
	t.Fatal("no port is free over both UDP and TCP")
	return nil, nil
}

func (s *nameserver) handler(network string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg).SetReply(query)
		s.mu.Lock()
		q := query.Question[0]
		s.count[network+" "+dns.TypeToString[q.Qtype]]++
		s.names = append(s.names, q.Name)
		if network == "udp" {
			s.ports[w.RemoteAddr().String()] = true
		}
		script := s.script
		s.mu.Unlock()
		script(w, reply, network)
	}
}

// total returns how many queries have come over UDP and TCP.
func (s *nameserver) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.count {
		n += c
	}
	return n
}

func (s *nameserver) queries(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[key]
}

func (s *nameserver) use(next script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = next
}

// rrs parses records in zone file form.
func rrs(lines ...string) []dns.RR {
	var out []dns.RR
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			panic(err)
		}
		out = append(out, rr)
	}
	return out
}

// zoneFile answers each query with those of the records that have its type, and
// with all aliases before them; NODATA otherwise.
func zoneFile(lines ...string) script {
	return func(w dns.ResponseWriter, reply *dns.Msg, _ string) {
		fill(reply, lines...)
		_ = w.WriteMsg(reply)
	}
}

func fill(reply *dns.Msg, lines ...string) {
	for _, rr := range rrs(lines...) {
		if t := rr.Header().Rrtype; t == reply.Question[0].Qtype || t == dns.TypeCNAME {
			reply.Answer = append(reply.Answer, rr)
		}
	}
}

// overUDP spoils the answers over UDP and leaves TCP to the zone.
func overUDP(spoil func(w dns.ResponseWriter, reply *dns.Msg), lines ...string) script {
	honest := zoneFile(lines...)
	return func(w dns.ResponseWriter, reply *dns.Msg, network string) {
		if network == "tcp" {
			honest(w, reply, network)
			return
		}
		fill(reply, lines...)
		spoil(w, reply)
	}
}

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// watcher records what an Observer is told.
type watcher struct {
	mu     sync.Mutex
	events []string
	signal chan string // when not nil, gets each event too
}

func (o *watcher) note(event string) {
	o.mu.Lock()
	o.events = append(o.events, event)
	o.mu.Unlock()
	if o.signal != nil {
		o.signal <- event
	}
}

func (o *watcher) Lookup(result string, _ time.Duration) { o.note("lookup " + result) }
func (o *watcher) Denied(class string)                   { o.note("denied " + class) }
func (o *watcher) Query(string, string)                  {}
func (o *watcher) Upstream(string, bool)                 {}
func (o *watcher) Rebound(class string, allowed bool) {
	o.note(fmt.Sprintf("rebound %s %t", class, allowed))
}

func (o *watcher) Cache(hit bool) {
	if hit {
		o.note("hit")
		return
	}
	o.note("miss")
}

func (o *watcher) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.events, ", ")
}

// newResolver returns a resolver with a time-out that no busy machine misses.
func newResolver(t testing.TB, c Config) *Resolver {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = maxTimeout
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func newGuard(holes ...string) *Guard {
	var list []netip.Prefix
	for _, h := range holes {
		list = append(list, netip.MustParsePrefix(h))
	}
	return NewGuard(list, nil, nil)
}
