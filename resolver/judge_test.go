package resolver

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestRebinding takes a name through answers, each after the expiry of the one
// before. A pin that is marked ends in !, and so does an error.
func TestRebinding(t *testing.T) {
	answer := func(ttl int, addrs ...string) script {
		return func(w dns.ResponseWriter, reply *dns.Msg, network string) {
			var lines []string
			for _, a := range addrs {
				rtype := "A"
				if strings.Contains(a, ":") {
					rtype = "AAAA"
				}
				lines = append(lines, fmt.Sprintf("%s %d IN %s %s", reply.Question[0].Name, ttl, rtype, a))
			}
			zoneFile(lines...)(w, reply, network)
		}
	}
	fail := func(rcode int) script {
		return func(w dns.ResponseWriter, reply *dns.Msg, _ string) {
			reply.Rcode = rcode
			_ = w.WriteMsg(reply)
		}
	}
	type step struct {
		script script
		want   string
	}
	public, denied, open := answer(5, "9.9.9.9"), answer(5, "127.0.0.1"), answer(5, "10.0.0.1")
	for name, steps := range map[string][]step{
		"refused after public":         {{public, "public"}, {denied, "denied loopback!"}},
		"opened after public":          {{public, "public"}, {open, "private-use!"}},
		"refused after open":           {{open, "private-use"}, {denied, "denied loopback!"}},
		"told once for a change":       {{public, "public"}, {denied, "denied loopback!"}, {denied, "denied loopback"}},
		"and for each change":          {{public, "public"}, {open, "private-use!"}, {public, "public"}, {open, "private-use!"}},
		"with TTL 0":                   {{answer(0, "9.9.9.9"), "public"}, {answer(0, "127.0.0.1"), "denied loopback!"}, {answer(0, "9.9.9.9"), "public"}},
		"across NXDOMAIN":              {{public, "public"}, {fail(dns.RcodeNameError), "failed"}, {fail(dns.RcodeNameError), "failed"}, {denied, "denied loopback!"}},
		"across a failure":             {{public, "public"}, {fail(dns.RcodeServerFailure), "failed"}, {open, "private-use!"}},
		"mixed with public":            {{public, "public"}, {answer(5, "9.9.9.9", "10.0.0.1"), "private-use!"}},
		"from mixed":                   {{answer(5, "9.9.9.9", "10.0.0.1"), "private-use"}, {open, "private-use"}},
		"other public addresses":       {{public, "public"}, {answer(5, "8.8.8.8", "2620:fe::fe"), "public"}},
		"always private":               {{open, "private-use"}, {answer(5, "10.0.0.2"), "private-use"}},
		"private, then public":         {{open, "private-use"}, {public, "public"}},
		"first answer refused":         {{denied, "denied loopback"}, {public, "public"}},
		"through the NAT64 of the net": {{public, "public"}, {answer(5, "2001:db8:64::808:808"), "public"}, {answer(5, "2001:db8:64::a00:1"), "private-use!"}},
		"to metadata by NAT64":         {{public, "public"}, {answer(5, "2001:db8:64::a9fe:a9fe"), "denied metadata!"}},
	} {
		t.Run(name, func(t *testing.T) {
			now, watch := newClock(), &watcher{}
			var log logged
			s := startServer(t, public)
			r := newResolver(t, Config{Upstreams: []string{s.url}, Now: now.Now, Observer: watch, Logger: slog.New(&log)})
			g := newGuard("10.0.0.0/8").WithNAT64(prefixes("2001:db8:64::/96"))
			marks := 0
			for i, c := range steps {
				s.use(c.script)
				if got := outcome(t, r, g); got != c.want {
					t.Errorf("step %d: got %q, want %q", i, got, c.want)
				}
				if strings.HasSuffix(c.want, "!") {
					marks++
				}
				now.Advance(time.Minute)
			}
			if n := strings.Count(watch.String(), "rebound"); n != marks || strings.Count(log.String(), "WARN the name is rebinding host="+host) != marks {
				t.Errorf("%d marks, but observed %s\nlogged %s", marks, watch, log.String())
			}
		})
	}
}

// outcome is the class that host leads to.
func outcome(t *testing.T, r *Resolver, g *Guard) string {
	t.Helper()
	p, err := r.Pin(t.Context(), host, 443, g)
	var text string
	var mark bool
	switch denied, ok := errors.AsType[*DeniedError](err); {
	case ok:
		text, mark = "denied "+denied.Verdict.Class, denied.Rebound
		if mark != strings.Contains(err.Error(), "(rebinding)") {
			t.Errorf("the error reads %v", err)
		}
	case err != nil:
		return "failed"
	default:
		_, v := survey(p, g)
		text, mark = v.Class, p.Rebound
	}
	if mark {
		text += "!"
	}
	return text
}

// TestNewPolicyIsNoRebinding judges one unchanged answer by one Guard and then
// by a stricter one.
func TestNewPolicyIsNoRebinding(t *testing.T) {
	now, watch := newClock(), &watcher{}
	s := startServer(t, zoneFile(host+". 5 IN A 10.0.0.1"))
	r := newResolver(t, Config{Upstreams: []string{s.url}, Now: now.Now, Observer: watch})
	for range 2 {
		if _, err := r.Pin(t.Context(), host, 443, newGuard("10.0.0.0/8")); err != nil {
			t.Fatal(err)
		}
		_, err := r.Pin(t.Context(), host, 443, newGuard())
		if denied, ok := errors.AsType[*DeniedError](err); !ok || denied.Rebound {
			t.Errorf("got %v", err)
		}
		now.Advance(5 * time.Second)
	}
	if strings.Contains(watch.String(), "rebound") {
		t.Errorf("observed %s", watch)
	}
}

func TestRebindingToOwnPort(t *testing.T) {
	now := newClock()
	s := startServer(t, zoneFile(host+". 5 IN A 9.9.9.9"))
	r := newResolver(t, Config{Upstreams: []string{s.url}, Now: now.Now})
	own := NewGuard(prefixes("127.0.0.0/8"), []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:3128")}, nil)
	if _, err := r.Pin(t.Context(), host, 3128, own); err != nil {
		t.Fatal(err)
	}
	now.Advance(5 * time.Second)
	s.use(zoneFile(host + ". 5 IN A 127.0.0.1"))
	_, err := r.Pin(t.Context(), host, 3128, own)
	if denied, ok := errors.AsType[*DeniedError](err); !ok || denied.Verdict.Class != ClassOwnPort || !denied.Rebound {
		t.Errorf("got %v", err)
	}
}

func TestMarkedPinIsShared(t *testing.T) {
	now := newClock()
	s := startServer(t, zoneFile(host+". 5 IN A 9.9.9.9"))
	r := newResolver(t, Config{Upstreams: []string{s.url}, Now: now.Now})
	g := newGuard("10.0.0.0/8")
	pin := func() *Pin {
		p, err := r.Pin(t.Context(), host, 443, g)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	pin()
	now.Advance(5 * time.Second)
	s.use(zoneFile(host + ". 5 IN A 10.0.0.1"))
	first := pin()
	if !first.Rebound || first.Key() != "10.0.0.1" || pin() != first {
		t.Errorf("got %+v", first)
	}
	if n := testing.AllocsPerRun(100, func() { pin() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
