package resolver

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

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
