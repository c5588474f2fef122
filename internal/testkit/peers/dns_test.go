package peers

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func startDNS(t *testing.T) *DNS {
	t.Helper()
	d, err := StartDNS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// ask gives the records one a line, with their header's name and TTL.
func ask(t *testing.T, d *DNS, transport, name string, qtype uint16) (*dns.Msg, string) {
	t.Helper()
	query := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	reply, _, err := (&dns.Client{Net: transport}).ExchangeContext(t.Context(), query, d.Addr().String())
	if err != nil {
		t.Fatalf("%s %s %s: %v", transport, dns.TypeToString[qtype], name, err)
	}
	var lines []string
	for _, rr := range reply.Answer {
		lines = append(lines, strings.ReplaceAll(rr.String(), "\t", " "))
	}
	return reply, strings.Join(lines, "\n")
}

func addrs(list ...string) []netip.Addr {
	var parsed []netip.Addr
	for _, a := range list {
		parsed = append(parsed, netip.MustParseAddr(a))
	}
	return parsed
}

func TestDNSAnswers(t *testing.T) {
	d := startDNS(t)
	d.Set("a.test", time.Minute, addrs("192.0.2.1", "2001:db8::1", "192.0.2.2")...)
	d.CNAME("www.a.test", "A.test.", 5*time.Second)
	d.CNAME("away.test", "elsewhere.test", time.Second)
	d.CNAME("loop.test", "loop.test", time.Second)
	for _, transport := range []string{"udp", "tcp"} {
		for _, test := range []struct {
			name  string
			qtype uint16
			want  string
		}{
			{"a.test", dns.TypeA, "a.test. 60 IN A 192.0.2.1\na.test. 60 IN A 192.0.2.2"},
			{"A.TesT", dns.TypeAAAA, "A.TesT. 60 IN AAAA 2001:db8::1"},
			{"www.a.test", dns.TypeAAAA, "www.a.test. 5 IN CNAME A.test.\nA.test. 60 IN AAAA 2001:db8::1"},
			{"away.test", dns.TypeA, "away.test. 1 IN CNAME elsewhere.test."},
			{"a.test", dns.TypeTXT, ""},
		} {
			if _, got := ask(t, d, transport, test.name, test.qtype); got != test.want {
				t.Errorf("%s %s %s:\n%s\nwant\n%s", transport, dns.TypeToString[test.qtype], test.name, got, test.want)
			}
		}
		if reply, _ := ask(t, d, transport, "none.test", dns.TypeA); reply.Rcode != dns.RcodeNameError {
			t.Errorf("%s: an unknown name: %s", transport, dns.RcodeToString[reply.Rcode])
		}
	}
	if reply, _ := ask(t, d, "tcp", "loop.test", dns.TypeA); len(reply.Answer) != 32 {
		t.Errorf("a loop gave %d records; want the most that are sent", len(reply.Answer))
	}
}

func TestDNSCounts(t *testing.T) {
	d := startDNS(t)
	d.Set("a.test", time.Minute, addrs("192.0.2.1")...)
	ask(t, d, "udp", "A.test", dns.TypeA)
	ask(t, d, "tcp", "a.test", dns.TypeAAAA)
	ask(t, d, "udp", "none.test", dns.TypeA)
	want := []Query{{"a.test", "A", "udp"}, {"a.test", "AAAA", "tcp"}, {"none.test", "A", "udp"}}
	if got := d.Log(); !slices.Equal(got, want) {
		t.Errorf("logged %v; want %v", got, want)
	}
	if d.Queries("a.test.") != 2 || d.Queries("none.test") != 1 || d.Queries("never.test") != 0 {
		t.Errorf("counted %d, %d, %d; want 2, 1, 0", d.Queries("a.test."), d.Queries("none.test"), d.Queries("never.test"))
	}
}

func TestDNSSequence(t *testing.T) {
	d := startDNS(t)
	d.Sequence("rebind.test",
		Answer{Addrs: addrs("192.0.2.1")},
		Answer{Addrs: addrs("127.0.0.1")},
		Answer{RCode: dns.RcodeServerFailure})
	var got []string
	for range 4 {
		reply, a := ask(t, d, "udp", "rebind.test", dns.TypeA)
		ask(t, d, "udp", "rebind.test", dns.TypeAAAA) // the other half of the same lookup
		got = append(got, fmt.Sprint(a, " ", dns.RcodeToString[reply.Rcode]))
	}
	want := []string{"rebind.test. 0 IN A 192.0.2.1 NOERROR", "rebind.test. 0 IN A 127.0.0.1 NOERROR", " SERVFAIL", " SERVFAIL"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestDNSTruncates(t *testing.T) {
	d := startDNS(t)
	d.Sequence("on-demand.test", Answer{Addrs: addrs("192.0.2.1"), Truncate: true})
	var many []netip.Addr
	for a := netip.MustParseAddr("192.0.2.0"); len(many) < 100; a = a.Next() {
		many = append(many, a)
	}
	d.Set("large.test", time.Minute, many...)
	for name, records := range map[string]int{"on-demand.test": 1, "large.test": 100} {
		if reply, _ := ask(t, d, "udp", name, dns.TypeA); !reply.Truncated || len(reply.Answer) >= records {
			t.Errorf("%s over UDP: truncated %t, %d records", name, reply.Truncated, len(reply.Answer))
		}
		if reply, _ := ask(t, d, "tcp", name, dns.TypeA); reply.Truncated || len(reply.Answer) != records {
			t.Errorf("%s over TCP: truncated %t, %d records; want all %d", name, reply.Truncated, len(reply.Answer), records)
		}
	}
}
