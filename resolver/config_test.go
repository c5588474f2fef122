package resolver

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestUpstreams(t *testing.T) {
	for in, want := range map[string]string{
		"udp://10.0.0.10:53":                                "udp://10.0.0.10:53",
		"udp://10.0.0.10":                                   "udp://10.0.0.10:53",
		"udp://[fd00::1]:5353":                              "udp://[fd00::1]:5353",
		"udp://[fd00::1]":                                   "udp://[fd00::1]:53",
		"udp://fd00::1":                                     "udp://[fd00::1]:53",
		"tls://9.9.9.9":                                     "tls://9.9.9.9:853",
		"tls://9.9.9.9?name=DNS.quad9.net.":                 "tls://9.9.9.9:853?name=dns.quad9.net",
		"tls://[2620:fe::fe]:8853?name=dns.quad9.net":       "tls://[2620:fe::fe]:8853?name=dns.quad9.net",
		"https://9.9.9.9":                                   "https://9.9.9.9:443/dns-query",
		"https://9.9.9.9?name=dns.quad9.net":                "https://9.9.9.9:443/dns-query?name=dns.quad9.net",
		"https://[2620:fe::fe]:5443/a/b?name=dns.quad9.net": "https://[2620:fe::fe]:5443/a/b?name=dns.quad9.net",
	} {
		u, err := parseUpstream(in, nil)
		if err != nil || u.String() != want {
			t.Errorf("%s: %v, %v", in, u, err)
		}
	}
}

func TestMistakenUpstreams(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "must have the form",
		"9.9.9.9":                        "must have the form",
		"tcp://9.9.9.9":                  "must have the form",
		"UDP://9.9.9.9":                  "must have the form",
		"tls://dns.quad9.net":            "must name the server by IP address",
		"https://dns.google/dns-query":   "must name the server by IP address",
		"udp://[[::1]]":                  "must name the server by IP address",
		"udp://10.0.0.1]":                "must name the server by IP address",
		"tls://9.9.9.9:0":                "must name the server by IP address",
		"tls://user@9.9.9.9":             "must name the server by IP address",
		"tls://9.9.9.9/dns-query":        "has a path",
		"udp://9.9.9.9/":                 "has a path",
		"udp://9.9.9.9?name=dns.example": "there is no certificate over udp",
		"tls://9.9.9.9?name=":            "nothing behind the ? but name=NAME",
		"tls://9.9.9.9?name=a&name=b":    "nothing behind the ? but name=NAME",
		"tls://9.9.9.9?sni=a.example":    "nothing behind the ? but name=NAME",
		"https://9.9.9.9/q{?dns}":        "nothing behind the ? but name=NAME",
		"https://9.9.9.9/a b":            "has a path",
		"https://9.9.9.9/q#x":            "has a path",
	} {
		if u, err := parseUpstream(in, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", in, u, err, want)
		}
	}
}

func TestNewNamesEveryMistake(t *testing.T) {
	_, err := New(Config{
		Upstreams: []string{"udp://dns.example:53", "10.0.0.1", "udp://10.0.0.1:0", "udp://10.0.0.1:65536", "udp://10.0.0.1", "tcp://10.0.0.1"},
		Hosts: []Host{
			{Name: "erp.example", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}},
			{Name: "ERP.example.", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.2")}},
			{Name: "a b"},
			{Name: "empty.example"},
			{Name: "zone.example", Addresses: []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}},
		},
		Zones: []Zone{
			{Suffix: "corp.example", Upstreams: []string{"udp://10.0.0.1", "udp://ns.corp.example"}},
			{Suffix: "Corp.example."},
			{Suffix: ".lab"},
			{Suffix: ""},
		},
		Timeout:   time.Minute,
		CacheSize: -1,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`resolver.upstreams[0] "udp://dns.example:53": must name the server by IP address`,
		`resolver.upstreams[1] "10.0.0.1": must have the form udp://IP:PORT, tls://`,
		"resolver.upstreams[2]", "resolver.upstreams[3]", "resolver.upstreams[5]",
		`resolver.hosts[1]: "ERP.example." is listed twice`,
		`resolver.hosts[2]: "a b" is not a host name`,
		`resolver.hosts[3]: "empty.example" has no addresses`,
		`resolver.zones[0].upstreams[1] "udp://ns.corp.example": must name`,
		`resolver.zones[1]: "Corp.example." is listed twice`,
		`resolver.zones[2]: ".lab" is not a host name`,
		`resolver.zones[3]: "" is not a host name`,
		"resolver.hosts[4]", "resolver.timeout: 1m0s", "resolver.cache_size: -1",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "upstreams[4]") {
		t.Errorf("a good upstream is named:\n%v", err)
	}
}

func TestSystemUpstreams(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		file := filepath.Join(dir, "resolv.conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	list, err := systemUpstreams(write("# comment\nsearch corp.example\nnameserver 10.0.0.10\nnameserver fd00::1\noptions ndots:5\n"))
	if err != nil || len(list) != 2 || list[0].String() != "udp://10.0.0.10:53" || list[1].String() != "udp://[fd00::1]:53" {
		t.Errorf("got %v, %v", list, err)
	}
	for _, file := range []string{write("search corp.example\n"), filepath.Join(dir, "missing")} {
		if _, err := systemUpstreams(file); err == nil || !strings.Contains(err.Error(), "list the servers under resolver.upstreams") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
