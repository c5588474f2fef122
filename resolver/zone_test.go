package resolver

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

const cluster = "svc.cluster.local"

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// echo answers every name with these addresses.
func echo(addrs ...string) script {
	return func(w dns.ResponseWriter, reply *dns.Msg, network string) {
		name := reply.Question[0].Name
		var lines []string
		for _, a := range addrs {
			rtype := " A "
			if strings.Contains(a, ":") {
				rtype = " AAAA "
			}
			lines = append(lines, name+" 60 IN"+rtype+a)
		}
		zoneFile(lines...)(w, reply, network)
	}
}

func TestZones(t *testing.T) {
	all := startServer(t, echo("10.96.0.7"))
	inside := startServer(t, echo("10.96.0.8"))
	deeper := startServer(t, echo("10.97.0.9"))
	r := newResolver(t, Config{
		Upstreams: []string{all.url},
		Zones: []Zone{
			{Suffix: cluster, Upstreams: []string{inside.url}, Holes: prefixes("10.96.0.0/16")},
			{Suffix: "DB." + cluster + ".", Upstreams: []string{deeper.url}, Holes: prefixes("10.97.0.0/16")},
			{Suffix: "corp.example", Holes: prefixes("10.96.0.7/32")},
			{Suffix: "1", Holes: prefixes("127.0.0.0/8")},
		},
		Hosts: []Host{
			{Name: "static." + cluster, Addresses: []netip.Addr{netip.MustParseAddr("10.96.0.1")}},
			{Name: "static.example", Addresses: []netip.Addr{netip.MustParseAddr("10.96.0.1")}},
		},
	})
	for name, c := range map[string]struct {
		asked *nameserver
		want  string // the addresses, or part of the error
	}{
		"api." + cluster:          {inside, "10.96.0.8"},
		"API.Ns." + cluster + ".": {inside, "10.96.0.8"},
		cluster:                   {inside, "10.96.0.8"},
		"x.db." + cluster:         {deeper, "10.97.0.9"},
		"xdb." + cluster:          {inside, "10.96.0.8"},
		"evil" + cluster:          {all, "which is private-use"},
		cluster + ".example":      {all, "which is private-use"},
		"cluster.local":           {all, "which is private-use"},
		"api.example.com":         {all, "which is private-use"},
		"wiki.corp.example":       {all, "10.96.0.7"},
		"static." + cluster:       {nil, "10.96.0.1"},
		"static.example":          {nil, "which is private-use"},
		"10.96.0.7":               {nil, "which is private-use"},
		"127.0.0.1":               {nil, "which is loopback"},
		"::ffff:127.0.0.1":        {nil, "which is loopback"},
	} {
		before := map[*nameserver]int{all: all.total(), inside: inside.total(), deeper: deeper.total()}
		p, err := r.Pin(t.Context(), name, 443, newGuard())
		if got := pinText(p, err); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		for s, n := range before {
			if asked := s.total() > n; asked != (s == c.asked) {
				t.Errorf("%s: %s asked is %t", name, s.url, asked)
			}
		}
	}
}

func pinText(p *Pin, err error) string {
	if err != nil {
		return err.Error()
	}
	return addresses(p)
}

func TestZoneHolesCloseBehindAliases(t *testing.T) {
	for alias, want := range map[string]string{
		"b." + cluster:      "10.96.0.1",
		"evil.example":      "which is private-use",
		"evil" + cluster:    "which is private-use",
		cluster + ".evil.a": "which is private-use",
	} {
		s := startServer(t, zoneFile("a."+cluster+". 60 IN CNAME "+alias+".", alias+". 60 IN A 10.96.0.1"))
		r := newResolver(t, Config{Upstreams: []string{s.url}, Zones: []Zone{{Suffix: cluster, Holes: prefixes("10.96.0.0/12")}}})
		if got := pinText(r.Pin(t.Context(), "a."+cluster, 443, newGuard())); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", alias, got, want)
		}
		// Nor does an alias into the zone open it for a name outside.
		s.use(zoneFile("api.example. 60 IN CNAME a."+cluster+".", "a."+cluster+". 60 IN A 10.96.0.1"))
		if got := pinText(r.Pin(t.Context(), "api.example", 443, newGuard())); !strings.Contains(got, "which is private-use") {
			t.Errorf("alias into the zone: got %q", got)
		}
	}
}

func TestZoneHolesOpenNothingThatIsAlwaysClosed(t *testing.T) {
	s := startServer(t, echo())
	r := newResolver(t, Config{Upstreams: []string{s.url}, Zones: []Zone{{Suffix: cluster, Holes: prefixes("0.0.0.0/0", "::/0")}}})
	own := netip.MustParseAddrPort("127.0.0.1:3128")
	g := NewGuard(nil, []netip.AddrPort{own}, []netip.Addr{netip.MustParseAddr("10.0.0.7")})
	for addr, want := range map[string]string{
		"10.0.0.8": "10.0.0.8", "10.0.0.7": "own-address", "169.254.169.254": "metadata", "fd00:ec2::254": "metadata",
		"2002:a9fe:a9fe::": "metadata", "127.0.0.1": "own-port", "224.0.0.1": "multicast", "0.0.0.0": "unspecified",
	} {
		s.use(echo(addr))
		name := strings.NewReplacer(".", "-", ":", "-").Replace(addr) + "x." + cluster
		if got := pinText(r.Pin(t.Context(), name, 3128, g)); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
}

// TestDialInZone dials through a zone's hole, and sees that the hole belongs to
// the pin: the same address under another name's pin is refused before its SYN.
func TestDialInZone(t *testing.T) {
	_, port := listen(t, "127.0.0.1")
	s := startServer(t, echo("127.0.0.1"))
	r := newResolver(t, Config{Upstreams: []string{s.url}, Zones: []Zone{{Suffix: cluster, Holes: prefixes("127.0.0.0/8")}}})
	p, err := r.Pin(t.Context(), "api."+cluster, port, newGuard())
	if err != nil {
		t.Fatal(err)
	}
	var d Dialer
	c, err := d.Dial(t.Context(), p, port, newGuard())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	other := &Pin{Host: "api.example", Addrs: p.Addrs}
	if _, err := d.Dial(t.Context(), other, port, newGuard()); !isDenied(err, ClassLoopback) {
		t.Errorf("without the hole: %v", err)
	}
	own := NewGuard(nil, []netip.AddrPort{netip.AddrPortFrom(p.Addrs[0], port)}, nil)
	if _, err := d.Dial(t.Context(), p, port, own); !isDenied(err, ClassOwnPort) {
		t.Errorf("to Signet's own port: %v", err)
	}
}

func isDenied(err error, class string) bool {
	denied, ok := errors.AsType[*DeniedError](err)
	return ok && denied.Verdict.Class == class
}

func TestUpstreamsAreShared(t *testing.T) {
	r := newResolver(t, Config{
		Upstreams: []string{"udp://127.0.0.1:9", "tls://127.0.0.1"},
		Zones:     []Zone{{Suffix: cluster, Upstreams: []string{"udp://127.0.0.1:9"}}, {Suffix: "a.example", Upstreams: []string{"tls://127.0.0.1:853"}}},
	})
	if len(r.servers) != 2 {
		t.Errorf("%d servers for two upstreams", len(r.servers))
	}
}

func TestRequireAD(t *testing.T) {
	marked := func(ad bool, rcode int) script {
		return func(w dns.ResponseWriter, reply *dns.Msg, _ string) {
			fill(reply, reply.Question[0].Name+" 60 IN A 9.9.9.9")
			reply.AuthenticatedData, reply.Rcode = ad, rcode
			_ = w.WriteMsg(reply)
		}
	}
	validating := startServer(t, func(w dns.ResponseWriter, reply *dns.Msg, network string) {
		marked(true, dns.RcodeSuccess)(w, reply, network)
	})
	for name, c := range map[string]struct {
		script script
		want   string
	}{
		"validated":         {marked(true, dns.RcodeSuccess), "9.9.9.9"},
		"not validated":     {marked(false, dns.RcodeSuccess), "without the AD bit"},
		"not there":         {marked(true, dns.RcodeNameError), "NXDOMAIN"},
		"unproved NXDOMAIN": {marked(false, dns.RcodeNameError), "without the AD bit"},
		"bogus":             {marked(false, dns.RcodeServerFailure), "SERVFAIL"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, c.script)
			r := newResolver(t, Config{Upstreams: []string{s.url}, RequireAD: true})
			if got := pinText(r.Pin(t.Context(), host, 443, newGuard())); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("the next upstream may validate", func(t *testing.T) {
		s := startServer(t, marked(false, dns.RcodeSuccess))
		r := newResolver(t, Config{Upstreams: []string{s.url, validating.url}, RequireAD: true})
		if got := pinText(r.Pin(t.Context(), host, 443, newGuard())); got != "9.9.9.9" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a zone has its own", func(t *testing.T) {
		plain := startServer(t, marked(false, dns.RcodeSuccess))
		r := newResolver(t, Config{Upstreams: []string{validating.url}, RequireAD: true, Zones: []Zone{
			{Suffix: cluster, Upstreams: []string{plain.url}},
			{Suffix: "strict.example", Upstreams: []string{plain.url}, RequireAD: true},
			{Suffix: "hole.example", Holes: prefixes("10.0.0.0/8")},
		}})
		validating.use(marked(false, dns.RcodeSuccess))
		for name, want := range map[string]string{
			"a." + cluster: "9.9.9.9", "a.strict.example": "without the AD bit", "a.hole.example": "without the AD bit", "a.example": "without the AD bit",
		} {
			if got := pinText(r.Pin(t.Context(), name, 443, newGuard())); !strings.Contains(got, want) {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	})
}

func TestWarningOfForgeableAD(t *testing.T) {
	for url, warns := range map[string]bool{
		"udp://192.0.2.1": true, "udp://127.0.0.1": false, "udp://[::1]": false, "tls://192.0.2.1": false, "https://192.0.2.1": false,
	} {
		var log logged
		newResolver(t, Config{Upstreams: []string{url}, RequireAD: true, Logger: slog.New(&log)})
		if got := strings.Contains(log.String(), "can be forged"); got != warns {
			t.Errorf("%s: warned is %t", url, got)
		}
	}
}

// logged keeps each record as one line.
type logged struct{ watcher }

func (l *logged) Enabled(context.Context, slog.Level) bool { return true }
func (l *logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logged) WithGroup(string) slog.Handler            { return l }
func (l *logged) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.note(line)
	return nil
}
