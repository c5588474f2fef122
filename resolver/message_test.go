package resolver

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const fuzzID = 0x5167 // the corpus is written for it

var fuzzQuestion = dns.Question{Name: "aPi.eXample.com.", Qtype: dns.TypeA, Qclass: dns.ClassINET}

// FuzzAnswer feeds bytes as they might come from the network. Nothing panics,
// and whatever is accepted lies on the alias chain of the name.
func FuzzAnswer(f *testing.F) {
	m := &dns.Msg{Question: []dns.Question{fuzzQuestion}}
	m.Id, m.Response = fuzzID, true
	m.Answer = rrs("api.example.com. 60 IN CNAME a.example.", "a.example. 60 IN A 9.9.9.9")
	wire, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	f.Fuzz(func(t *testing.T, wire []byte) {
		if m, err := decode(wire, fuzzID, fuzzQuestion); err == nil {
			if r, err := follow(fuzzQuestion, m); err == nil {
				checkRecords(t, fuzzQuestion, m, r)
			}
		}
		// Behind the checks too, as if the ID and question had been guessed.
		m := new(dns.Msg)
		if m.Unpack(wire) != nil {
			return
		}
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			q := dns.Question{Name: fuzzQuestion.Name, Qtype: qtype, Qclass: dns.ClassINET}
			if r, err := follow(q, m); err == nil {
				checkRecords(t, q, m, r)
			}
		}
	})
}

func checkRecords(t *testing.T, q dns.Question, m *dns.Msg, r records) {
	t.Helper()
	if len(r.addrs) > maxRecords || len(r.cname) > maxAliases {
		t.Errorf("%d addresses, %d aliases", len(r.addrs), len(r.cname))
	}
	if r.ttl < 0 || r.ttl > maxTTL || r.ttl > 0 && r.ttl < minTTL {
		t.Errorf("TTL %s", r.ttl)
	}
	at := hostOf(q.Name)
	for _, alias := range r.cname {
		if strings.ContainsFunc(alias, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("an alias that receipts and logs cannot show: %q", alias)
		}
		if !holds(m, func(rr dns.RR) bool {
			c, ok := rr.(*dns.CNAME)
			return ok && hostOf(c.Hdr.Name) == at && hostOf(c.Target) == alias
		}) {
			t.Errorf("no record takes the chain from %s to %s", at, alias)
		}
		at = alias
	}
	for _, addr := range r.addrs {
		if !holds(m, func(rr dns.RR) bool {
			a, ok := address(rr, q.Qtype)
			return ok && a == addr && hostOf(rr.Header().Name) == at
		}) {
			t.Errorf("%s is not an address of %s", addr, at)
		}
	}
}

func holds(m *dns.Msg, is func(dns.RR) bool) bool {
	for _, rr := range m.Answer {
		if is(rr) {
			return true
		}
	}
	return false
}

func TestTTLClamp(t *testing.T) {
	for seconds, want := range map[uint32]time.Duration{
		0: 0, 1: time.Second, 299: 299 * time.Second, 300: 300 * time.Second, 301: 300 * time.Second,
		1<<31 - 1: 300 * time.Second, 1 << 31: 0, 1<<32 - 1: 0,
	} {
		if got := ttl(seconds); got != want {
			t.Errorf("%d: %s, want %s", seconds, got, want)
		}
	}
}

func TestKeyIsThatOfTheSet(t *testing.T) {
	a, b := netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("2620:fe::fe")
	if addressKey([]netip.Addr{a, b}) != addressKey([]netip.Addr{b, a}) {
		t.Error("the order changes the key")
	}
	if addressKey([]netip.Addr{a}) == addressKey([]netip.Addr{a, b}) {
		t.Error("two sets have one key")
	}
}
