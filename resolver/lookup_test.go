package resolver

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

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
