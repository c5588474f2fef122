package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestTTL(t *testing.T) {
	for seconds, want := range map[uint32]time.Duration{1: time.Second, 60: time.Minute, 86400: 300 * time.Second, 1 << 31: 0} {
		now := newClock()
		s := startServer(t, zoneFile(fmt.Sprintf("%s. %d IN A 9.9.9.9", host, seconds)))
		r := newResolver(t, Config{Upstreams: []string{s.url}, Now: now.Now})
		pin := func() *Pin {
			p, err := r.Pin(t.Context(), host, 443, newGuard())
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		if p := pin(); p.TTL != want {
			t.Errorf("TTL %d became %s, want %s", seconds, p.TTL, want)
		}
		if want == 0 {
			continue
		}
		now.Advance(want - 1)
		if pin(); s.total() != 2 {
			t.Errorf("TTL %d: asked again before the pin expired", seconds)
		}
		now.Advance(1)
		if pin(); s.total() != 4 {
			t.Errorf("TTL %d: not asked again after the pin expired", seconds)
		}
	}
}

func TestZeroTTLIsNotRemembered(t *testing.T) {
	now := newClock()
	s := startServer(t, zoneFile(host+". 300 IN CNAME a.example.", "a.example. 0 IN A 9.9.9.9"))
	r := newResolver(t, Config{Upstreams: []string{s.url}, Now: now.Now})
	for i := range 3 {
		p, err := r.Pin(t.Context(), host, 443, newGuard())
		if err != nil {
			t.Fatal(err)
		}
		if p.TTL != 0 || !p.Expires.Equal(now.Now()) || s.queries("udp A") != i+1 {
			t.Errorf("round %d: TTL %s, queries %v", i, p.TTL, s.count)
		}
	}
}

func TestRebindingIsCaughtAtExpiry(t *testing.T) {
	now, watch := newClock(), &watcher{}
	s := startServer(t, zoneFile(host+". 5 IN A 9.9.9.9"))
	r := newResolver(t, Config{Upstreams: []string{s.url}, Now: now.Now, Observer: watch})
	g := newGuard()
	if _, err := r.Pin(t.Context(), host, 443, g); err != nil {
		t.Fatal(err)
	}
	s.use(zoneFile(host + ". 5 IN A 169.254.169.254"))
	if p, err := r.Pin(t.Context(), host, 443, g); err != nil || addresses(p) != "9.9.9.9" {
		t.Fatalf("the pin changed within its time: %v", err)
	}
	now.Advance(5 * time.Second)
	_, err := r.Pin(t.Context(), host, 443, g)
	denied, ok := errors.AsType[*DeniedError](err)
	if !ok || denied.Host != host || denied.Addr.String() != "169.254.169.254" || denied.Verdict.Class != ClassMetadata {
		t.Fatalf("got %v", err)
	}
	if want := "miss, lookup answered, hit, miss, lookup answered, rebound metadata false, denied metadata"; watch.String() != want {
		t.Errorf("observed %s\nwant %s", watch, want)
	}
}

func TestNegativeAnswersAreRemembered(t *testing.T) {
	for name, c := range map[string]struct {
		soa  string
		want time.Duration
	}{
		"no SOA":           {"", 30 * time.Second},
		"shorter minimum":  {"example.com. 3600 IN SOA ns.example.com. admin.example.com. 1 2 3 4 7", 7 * time.Second},
		"longer":           {"example.com. 3600 IN SOA ns.example.com. admin.example.com. 1 2 3 4 3600", 30 * time.Second},
		"of another zone":  {"example.org. 1 IN SOA ns.example.com. admin.example.com. 1 2 3 4 1", 30 * time.Second},
		"shorter than all": {"com. 2 IN SOA ns.example.com. admin.example.com. 1 2 3 4 600", 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			now := newClock()
			s := startServer(t, func(w dns.ResponseWriter, reply *dns.Msg, _ string) {
				reply.Rcode = dns.RcodeNameError
				reply.Answer = rrs(host+". 60 IN A 9.9.9.9", host+". 60 IN AAAA 2620:fe::fe")
				if c.soa != "" {
					reply.Ns = rrs(c.soa)
				}
				_ = w.WriteMsg(reply)
			})
			r := newResolver(t, Config{Upstreams: []string{s.url}, Now: now.Now})
			pin := func() {
				_, err := r.Pin(t.Context(), host, 443, newGuard())
				if le, ok := errors.AsType[*LookupError](err); !ok || !le.NotFound || !strings.Contains(le.Why, "NXDOMAIN") {
					t.Fatalf("got %v", err)
				}
			}
			pin()
			now.Advance(c.want - 1)
			if pin(); s.total() != 2 {
				t.Errorf("asked again too early: %v", s.count)
			}
			now.Advance(1)
			if pin(); s.total() != 4 {
				t.Errorf("not asked again: %v", s.count)
			}
		})
	}
}

func TestSingleFlight(t *testing.T) {
	release := make(chan struct{})
	s := startServer(t, func(w dns.ResponseWriter, reply *dns.Msg, network string) {
		<-release
		zoneFile(host+". 0 IN A 9.9.9.9")(w, reply, network)
	})
	const callers = 64
	watch := &watcher{signal: make(chan string, callers+1)}
	r := newResolver(t, Config{Upstreams: []string{s.url}, Observer: watch})
	results := make(chan error, callers)
	impatient, leave := context.WithCancel(t.Context())
	defer leave()
	for i := range callers {
		go func() {
			ctx := t.Context()
			if i%2 == 0 {
				ctx = impatient
			}
			_, err := r.Pin(ctx, host, 443, newGuard())
			results <- err
		}()
	}
	for range callers {
		if event := <-watch.signal; event != "miss" {
			t.Fatalf("observed %s", event)
		}
	}
	leave()
	for range callers / 2 {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
	close(release)
	for range callers / 2 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	if s.total() != 2 {
		t.Errorf("queries: %v", s.count)
	}
}

func TestCacheIsBounded(t *testing.T) {
	s := startServer(t, func(w dns.ResponseWriter, reply *dns.Msg, network string) {
		zoneFile(reply.Question[0].Name+" 60 IN A 9.9.9.9")(w, reply, network)
	})
	r := newResolver(t, Config{Upstreams: []string{s.url}, CacheSize: 2})
	for _, step := range []struct {
		name string
		asks bool
	}{
		{"a.example", true},
		{"b.example", true},
		{"a.example", false},
		{"c.example", true},
		{"a.example", false},
		{"b.example", true},
		{"c.example", true},
	} {
		before := s.total()
		if _, err := r.Pin(t.Context(), step.name, 443, newGuard()); err != nil {
			t.Fatal(err)
		}
		if asked := s.total() > before; asked != step.asks {
			t.Errorf("%s: asked is %t", step.name, asked)
		}
		if len(r.cache.byName) > 2 || r.cache.order.Len() != len(r.cache.byName) {
			t.Fatalf("the cache holds %d names", len(r.cache.byName))
		}
	}
}

func TestOneAnswerManyGuards(t *testing.T) {
	s := startServer(t, zoneFile(host+". 60 IN A 127.0.0.1"))
	r := newResolver(t, Config{Upstreams: []string{s.url}})
	strict, open := newGuard(), newGuard("127.0.0.0/8")
	own := NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:3128")}, nil)
	for range 2 {
		for _, c := range []struct {
			guard *Guard
			port  uint16
			class string
		}{{strict, 443, ClassLoopback}, {open, 443, ""}, {open, 3128, ""}, {own, 443, ""}, {own, 3128, ClassOwnPort}} {
			_, err := r.Pin(t.Context(), host, c.port, c.guard)
			class := ""
			if denied, ok := errors.AsType[*DeniedError](err); ok {
				class = denied.Verdict.Class
			}
			if class != c.class {
				t.Errorf("port %d: got %v, want class %q", c.port, err, c.class)
			}
		}
	}
	if s.total() != 2 {
		t.Errorf("queries: %v", s.count)
	}
}

func TestCachedPinDoesNotAllocate(t *testing.T) {
	r := newResolver(t, Config{Upstreams: []string{"udp://127.0.0.1:9"}, Hosts: []Host{{Name: host, Addresses: []netip.Addr{netip.MustParseAddr("9.9.9.9")}}}})
	g := NewGuard(nil, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:3128")}, nil)
	n := testing.AllocsPerRun(100, func() {
		if _, err := r.Pin(t.Context(), host, 443, g); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCachedPin(b *testing.B) {
	r := newResolver(b, Config{Upstreams: []string{"udp://127.0.0.1:9"}, Hosts: []Host{{Name: host, Addresses: []netip.Addr{netip.MustParseAddr("9.9.9.9")}}}})
	g := NewGuard(nil, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:3128")}, nil)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Pin(ctx, host, 443, g); err != nil {
			b.Fatal(err)
		}
	}
}
