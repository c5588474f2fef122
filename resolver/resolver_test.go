package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const host = "api.example.com"

func addresses(p *Pin) string {
	var list []string
	for _, a := range p.Addrs {
		list = append(list, a.String())
	}
	return strings.Join(list, " ")
}

func TestPin(t *testing.T) {
	now := newClock()
	s := startServer(t, zoneFile(
		host+". 60 IN CNAME Edge.example.NET.",
		"edge.example.net. 45 IN CNAME a.cdn.example.org.",
		"a.cdn.example.org. 90 IN A 9.9.9.9",
		"a.cdn.example.org. 90 IN A 9.9.9.10",
		"A.cdn.example.org. 90 IN AAAA 2620:fe::fe",
	))
	r := newResolver(t, Config{Upstreams: []string{s.url}, Now: now.Now})
	p, err := r.Pin(t.Context(), "API.Example.com.", 443, newGuard())
	if err != nil {
		t.Fatal(err)
	}
	if p.Host != host || addresses(p) != "9.9.9.9 2620:fe::fe 9.9.9.10" || p.Resolver != s.url ||
		!slices.Equal(p.CNAME, []string{"edge.example.net", "a.cdn.example.org"}) ||
		p.TTL != 45*time.Second || !p.Expires.Equal(now.Now().Add(45*time.Second)) ||
		p.Key() != "9.9.9.9,9.9.9.10,2620:fe::fe" {
		t.Errorf("got %+v, key %q", p, p.Key())
	}
	if s.queries("udp A") != 1 || s.queries("udp AAAA") != 1 || s.total() != 2 {
		t.Errorf("queries: %v", s.count)
	}
}

func TestAnswers(t *testing.T) {
	many := func(n int) []string {
		var lines []string
		for i := range n {
			lines = append(lines, fmt.Sprintf("%s. 60 IN A 9.9.%d.%d", host, i/250, i%250+1))
		}
		return lines
	}
	chain := func(n int) []string {
		lines := []string{fmt.Sprintf("%s. 60 IN CNAME c1.example.", host)}
		for i := 1; i < n; i++ {
			lines = append(lines, fmt.Sprintf("c%d.example. 60 IN CNAME c%d.example.", i, i+1))
		}
		return append(lines, fmt.Sprintf("c%d.example. 60 IN A 9.9.9.9", n))
	}
	for name, c := range map[string]struct {
		zone  []string
		holes []string
		want  string // the addresses, or part of the error
	}{
		"one family":                 {zone: []string{host + ". 60 IN AAAA 2620:fe::fe"}, want: "2620:fe::fe"},
		"same address twice":         {zone: []string{host + ". 60 IN A 9.9.9.9", host + ". 60 IN A 9.9.9.9", host + ". 60 IN AAAA ::ffff:9.9.9.9"}, want: "9.9.9.9"},
		"private":                    {zone: []string{host + ". 60 IN A 10.0.0.1"}, want: "leads to 10.0.0.1, which is private-use"},
		"mixed":                      {zone: []string{host + ". 60 IN A 9.9.9.9", host + ". 60 IN A 192.168.0.1"}, want: "leads to 192.168.0.1, which is private-use"},
		"mixed over the families":    {zone: []string{host + ". 60 IN A 9.9.9.9", host + ". 60 IN AAAA ::1"}, want: "leads to ::1, which is loopback"},
		"chain into private space":   {zone: []string{host + ". 60 IN CNAME in.example.", "in.example. 60 IN A 10.0.0.1"}, want: "which is private-use"},
		"mapped metadata":            {zone: []string{host + ". 60 IN AAAA ::ffff:169.254.169.254"}, want: "which is metadata"},
		"in a hole":                  {zone: []string{host + ". 60 IN A 10.0.0.1", host + ". 60 IN A 9.9.9.9"}, holes: []string{"10.0.0.0/8"}, want: "10.0.0.1 9.9.9.9"},
		"metadata in a hole":         {zone: []string{host + ". 60 IN A 169.254.169.254"}, holes: []string{"0.0.0.0/0"}, want: "addresses.allow cannot open it"},
		"extra records":              {zone: []string{"evil.example. 60 IN A 10.0.0.1", host + ". 60 IN A 9.9.9.9", "x." + host + ". 60 IN A 10.0.0.2"}, want: "9.9.9.9"},
		"address beside an alias":    {zone: []string{host + ". 60 IN A 8.8.8.8", host + ". 60 IN CNAME c.example.", "c.example. 60 IN A 9.9.9.9"}, want: "9.9.9.9"},
		"two different aliases":      {zone: []string{host + ". 60 IN CNAME a.example.", host + ". 60 IN CNAME b.example.", "a.example. 60 IN A 9.9.9.9"}, want: "two different aliases"},
		"alias loop":                 {zone: []string{host + ". 60 IN CNAME a.example.", "a.example. 60 IN CNAME " + host + "."}, want: "go round in a loop at " + host},
		"alias to itself":            {zone: []string{host + ". 60 IN CNAME " + host + "."}, want: "loop"},
		"alias loop aside":           {zone: []string{host + ". 60 IN CNAME a.example.", "a.example. 60 IN CNAME b.example.", "b.example. 60 IN CNAME a.example."}, want: "loop at a.example"},
		"dangling alias":             {zone: []string{host + ". 60 IN CNAME a.example."}, want: "NODATA"},
		"longest chain":              {zone: chain(8), want: "9.9.9.9"},
		"chain too long":             {zone: chain(9), want: "more than 8 aliases"},
		"too many records":           {zone: many(65), want: "65 records; 64 are the limit"},
		"records of a foreign class": {zone: []string{host + ". 60 CH A 9.9.9.9"}, want: "NODATA"},
		"nothing":                    {want: "NODATA"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, func(w dns.ResponseWriter, reply *dns.Msg, network string) {
				fill(reply, c.zone...)
				reply.Truncated = network == "udp" && len(reply.Answer) > 20
				_ = w.WriteMsg(reply)
			})
			r := newResolver(t, Config{Upstreams: []string{s.url}})
			p, err := r.Pin(t.Context(), host, 443, newGuard(c.holes...))
			got := fmt.Sprint(err)
			if err == nil {
				got = addresses(p)
			}
			if !strings.Contains(got, c.want) || err == nil && got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestOtherSectionsCountForNothing(t *testing.T) {
	s := startServer(t, func(w dns.ResponseWriter, reply *dns.Msg, _ string) {
		reply.Ns = rrs(host + ". 60 IN A 9.9.9.9")
		reply.Extra = rrs(host + ". 60 IN AAAA 2620:fe::fe")
		_ = w.WriteMsg(reply)
	})
	r := newResolver(t, Config{Upstreams: []string{s.url}})
	p, err := r.Pin(t.Context(), host, 443, newGuard())
	if le, ok := errors.AsType[*LookupError](err); !ok || !le.NotFound {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestMangledAnswersAreAskedAgainOverTCP(t *testing.T) {
	swap := func(s string) string {
		out := []byte(s)
		for i, c := range out {
			if c|0x20 >= 'a' && c|0x20 <= 'z' {
				out[i] ^= 0x20
			}
		}
		return string(out)
	}
	send := func(change func(*dns.Msg)) func(dns.ResponseWriter, *dns.Msg) {
		return func(w dns.ResponseWriter, m *dns.Msg) {
			change(m)
			_ = w.WriteMsg(m)
		}
	}
	for name, spoil := range map[string]func(dns.ResponseWriter, *dns.Msg){
		"wrong ID":       send(func(m *dns.Msg) { m.Id++ }),
		"wrong case":     send(func(m *dns.Msg) { m.Question[0].Name = swap(m.Question[0].Name) }),
		"wrong name":     send(func(m *dns.Msg) { m.Question[0].Name = "www.example.com." }),
		"wrong type":     send(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT }),
		"wrong class":    send(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }),
		"no question":    send(func(m *dns.Msg) { m.Question = nil }),
		"two questions":  send(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }),
		"a query":        send(func(m *dns.Msg) { m.Response = false }),
		"wrong opcode":   send(func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus }),
		"truncated":      send(func(m *dns.Msg) { m.Truncated, m.Answer = true, nil }),
		"garbage":        func(w dns.ResponseWriter, _ *dns.Msg) { _, _ = w.Write([]byte("\x00\xff garbage \xc0\x0c\xc0\x0c")) },
		"empty datagram": func(w dns.ResponseWriter, _ *dns.Msg) { _, _ = w.Write(nil) },
		"pointer loop": func(w dns.ResponseWriter, m *dns.Msg) {
			_, _ = w.Write([]byte{byte(m.Id >> 8), byte(m.Id), 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 0x0c, 0, 1, 0, 1})
		},
		"oversized": send(func(m *dns.Msg) {
			for range 60 {
				m.Extra = append(m.Extra, rrs(`filler.example. 60 IN TXT "0123456789012345678901234567890123456789"`)...)
			}
			m.Compress = true
		}),
		"forged before the real one": func(w dns.ResponseWriter, m *dns.Msg) {
			forged := m.Copy()
			forged.Id ^= 0x5555
			forged.Answer = rrs(host+". 60 IN A 8.8.8.8", host+". 60 IN AAAA 2001:4860::8888")
			_ = w.WriteMsg(forged)
			_ = w.WriteMsg(m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, overUDP(spoil, host+". 60 IN A 9.9.9.9", host+". 60 IN AAAA 2620:fe::fe"))
			r := newResolver(t, Config{Upstreams: []string{s.url}})
			p, err := r.Pin(t.Context(), host, 443, newGuard())
			if err != nil {
				t.Fatal(err)
			}
			if addresses(p) != "9.9.9.9 2620:fe::fe" {
				t.Errorf("got %s", addresses(p))
			}
			if s.queries("tcp A") != 1 || s.queries("tcp AAAA") != 1 {
				t.Errorf("queries: %v", s.count)
			}
		})
	}
}

func TestMangledOverTCPToo(t *testing.T) {
	s := startServer(t, func(w dns.ResponseWriter, reply *dns.Msg, _ string) {
		reply.Id++
		_ = w.WriteMsg(reply)
	})
	r := newResolver(t, Config{Upstreams: []string{s.url}})
	_, err := r.Pin(t.Context(), host, 443, newGuard())
	le, ok := errors.AsType[*LookupError](err)
	if !ok || le.NotFound || le.Timeout || le.Resolver != s.url || !strings.Contains(err.Error(), "wrong ID") {
		t.Errorf("got %v", err)
	}
	if s.queries("udp A") != tries || s.queries("tcp A") != tries {
		t.Errorf("queries: %v", s.count)
	}
}

func TestQueriesAreHardToForge(t *testing.T) {
	s := startServer(t, zoneFile(host+". 0 IN A 9.9.9.9"))
	r := newResolver(t, Config{Upstreams: []string{s.url}})
	for range 32 {
		if _, err := r.Pin(t.Context(), host, 443, newGuard()); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.names)
	if n := len(slices.Compact(s.names)); n < 32 {
		t.Errorf("64 queries had names in %d cases only", n)
	}
	if len(s.ports) < 48 {
		t.Errorf("64 queries came from %d ports only", len(s.ports))
	}
	ids := map[uint16]bool{}
	for range 64 {
		ids[randomID()] = true
	}
	if len(ids) < 60 {
		t.Errorf("64 IDs were %d different ones only", len(ids))
	}
}

func TestSilenceIsATimeout(t *testing.T) {
	s := startServer(t, func(dns.ResponseWriter, *dns.Msg, string) {})
	watch := &watcher{}
	r := newResolver(t, Config{Upstreams: []string{s.url}, Timeout: 30 * time.Millisecond, Observer: watch})
	_, err := r.Pin(t.Context(), host, 443, newGuard())
	le, ok := errors.AsType[*LookupError](err)
	if !ok || !le.Timeout || le.NotFound {
		t.Errorf("got %v", err)
	}
	if watch.String() != "miss, lookup timeout" {
		t.Errorf("observed %s", watch)
	}
}

func TestNextUpstreamIsTried(t *testing.T) {
	sick := startServer(t, func(w dns.ResponseWriter, reply *dns.Msg, _ string) {
		reply.Rcode = dns.RcodeServerFailure
		_ = w.WriteMsg(reply)
	})
	well := startServer(t, zoneFile(host+". 60 IN A 9.9.9.9"))
	r := newResolver(t, Config{Upstreams: []string{sick.url, well.url}})
	p, err := r.Pin(t.Context(), host, 443, newGuard())
	if err != nil {
		t.Fatal(err)
	}
	if p.Resolver != well.url {
		t.Errorf("answered by %s", p.Resolver)
	}
}

func TestOneFamilyUnansweredFailsClosed(t *testing.T) {
	s := startServer(t, func(w dns.ResponseWriter, reply *dns.Msg, _ string) {
		fill(reply, host+". 60 IN A 9.9.9.9")
		if reply.Question[0].Qtype == dns.TypeAAAA {
			reply.Rcode = dns.RcodeServerFailure
		}
		_ = w.WriteMsg(reply)
	})
	r := newResolver(t, Config{Upstreams: []string{s.url}})
	_, err := r.Pin(t.Context(), host, 443, newGuard())
	if err == nil || !strings.Contains(err.Error(), "A and AAAA must both be answered, and one was not: AAAA: the upstream answered SERVFAIL") {
		t.Errorf("got %v", err)
	}
	if s.queries("udp A") != 1 || s.queries("udp AAAA") != tries {
		t.Errorf("queries: %v", s.count)
	}
}

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

func TestWithoutQuery(t *testing.T) {
	s := startServer(t, zoneFile(host+". 60 IN A 9.9.9.9"))
	r := newResolver(t, Config{Upstreams: []string{s.url}, Hosts: []Host{
		{Name: "ERP.example.", Addresses: []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("::ffff:9.9.9.10")}},
		{Name: "printer", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.9")}},
	}})
	for name, want := range map[string]string{
		"erp.example":                        "9.9.9.9 9.9.9.10",
		"printer":                            "printer leads to 10.0.0.9, which is private-use",
		"9.9.9.9":                            "9.9.9.9",
		"::ffff:9.9.9.9":                     "9.9.9.9",
		"2620:fe::fe":                        "2620:fe::fe",
		"127.0.0.1":                          "which is loopback",
		"fe80::1%eth0":                       "not a host name",
		"localhost":                          "names of a single label are not looked up",
		"":                                   "not a host name",
		"a..example":                         "not a host name",
		"bücher.example":                     "not a host name",
		"a b.example":                        "not a host name",
		"a.example..":                        "not a host name",
		"[::1]":                              "not a host name",
		"a\\.b.example":                      "not a host name",
		"127.0.0.1:80":                       "not a host name",
		"user@evil.com":                      "not a host name",
		"x\x00.example":                      "not a host name",
		"evil.com/example":                   "not a host name",
		strings.Repeat("a", 64) + ".example": "not a host name",
		strings.Repeat("a.", 127) + "example.com": "not a host name",
	} {
		p, err := r.Pin(t.Context(), name, 443, newGuard())
		got := fmt.Sprint(err)
		if err == nil {
			got = addresses(p)
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	if s.total() != 0 {
		t.Errorf("queries: %v", s.count)
	}
	p, err := r.Pin(t.Context(), "erp.example", 443, newGuard())
	if err != nil || p.Resolver != "static" || p.TTL != maxTTL {
		t.Errorf("static: %+v, %v", p, err)
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

func TestClose(t *testing.T) {
	asked := make(chan struct{}, 8)
	s := startServer(t, func(dns.ResponseWriter, *dns.Msg, string) { asked <- struct{}{} })
	r := newResolver(t, Config{Upstreams: []string{s.url}})
	result := make(chan error, 1)
	go func() {
		_, err := r.Pin(t.Context(), host, 443, newGuard())
		result <- err
	}()
	<-asked
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("the lookup under way: %v", err)
	}
	if _, err := r.Pin(t.Context(), "other.example", 443, newGuard()); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
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
