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
