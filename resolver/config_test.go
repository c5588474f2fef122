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
		"udp://10.0.0.10:53":   "udp://10.0.0.10:53",
		"udp://10.0.0.10":      "udp://10.0.0.10:53",
		"udp://[fd00::1]:5353": "udp://[fd00::1]:5353",
		"udp://[fd00::1]":      "udp://[fd00::1]:53",
		"udp://fd00::1":        "udp://[fd00::1]:53",
	} {
		u, err := parseUpstream(in, nil)
		if err != nil || u.String() != want {
			t.Errorf("%s: %v, %v", in, u, err)
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
