package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/proxy"
)

// A replaced policy ends the connections that it would not allow, and no other.
func TestRevalidate(t *testing.T) {
	for _, c := range []struct{ name, policy, reason string }{
		{"rule gone", "mode: enforce", "HEL_HOST_NOT_ALLOWED"},
		{"port gone", "rules: [{name: opaque, hosts: [other.test], ports: [1]}]", "HEL_PORT_NOT_ALLOWED"},
		{"denied", anything + "\ndeny: [{name: no, hosts: [other.test]}]", "HEL_HOST_DENIED"},
		{"address closed", anything + "\naddresses: {allow: [127.0.0.2/32]}", "HEL_ADDRESS_DENIED"},
		{"to be intercepted", "rules: [{name: x, hosts: [other.test], ports: [PORT], intercept: true}]", "HEL_HOST_NOT_ALLOWED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, options{policy: anything})
			conn, err := b.tlsTo(b.connect(b.secure.URL("other.test", "")[len("https://"):]), "other.test")
			must(t, err)
			if n := b.swap(anything + "\n# the same rules in another file"); n != 0 {
				t.Fatalf("%d connections cut by a policy that allows them", n)
			}
			_, err = fmt.Fprintf(conn, "GET /small HTTP/1.1\r\nHost: other.test\r\n\r\n")
			must(t, err)
			readUntil(t, conn, "\r\n\r\n")
			if n := b.swap(c.policy); n != 1 {
				t.Errorf("%d connections cut, want 1", n)
			}
			if _, err := io.Copy(io.Discard, conn); err == nil {
				t.Error("the tunnel ended as if in order")
			}
			if r := b.only(); r.Outcome != "failed" || r.Policy.Reason != c.reason || *r.Detail.Forwarded.BytesUp == 0 {
				t.Errorf("%s %+v", r.Outcome, r.Policy)
			}
		})
	}
}

func TestTunnelsAreListed(t *testing.T) {
	b := start(t, options{policy: anything})
	for _, name := range []string{"up.test", "other.test"} {
		conn, err := b.tlsTo(b.connect(b.secure.URL(name, "")[len("https://"):]), name)
		must(t, err)
		defer func(c net.Conn) { _ = c.Close() }(conn)
	}
	modes := make(map[string]string)
	for _, tunnel := range b.proxy.Tunnels() {
		modes[tunnel.Mode] = tunnel.Target
	}
	if modes["intercept"] != fmt.Sprintf("up.test:%d", b.secure.Port()) || modes["opaque"] == "" {
		t.Errorf("tunnels: %v", modes)
	}
}

// A name that is rebound while a tunnel stands ends the tunnel, once its pin has
// expired and it is looked at again.
func TestStandingTunnelRebound(t *testing.T) {
	dns := testkit.DNS(t)
	dns.Sequence("other.test",
		peers.Answer{Addrs: []netip.Addr{loopback}},
		peers.Answer{Addrs: []netip.Addr{netip.MustParseAddr("169.254.169.254")}})
	b := start(t, options{policy: anything, dns: dns.URL(), timeouts: proxy.Timeouts{Recheck: time.Nanosecond}})
	raw := b.connect(b.secure.URL("other.test", "")[len("https://"):])
	if conn, err := b.tlsTo(raw, "other.test"); err == nil { // the cut may come first
		_, _ = io.Copy(io.Discard, conn)
	}
	if r := b.only(); r.Policy.Reason != "HEL_ADDRESS_DENIED" {
		t.Errorf("%s %+v", r.Outcome, r.Policy)
	}
}

// What a stop cuts at its limit is reset: it must not look like an end.
func TestStopCutsTunnels(t *testing.T) {
	for _, name := range []string{"other.test", "up.test"} {
		t.Run(name, func(t *testing.T) {
			b := start(t, options{policy: anything, drain: time.Nanosecond})
			raw := b.connect(b.secure.URL(name, "")[len("https://"):])
			conn, err := b.tlsTo(raw, name)
			must(t, err)
			_, err = io.WriteString(conn, "GET /small HTTP/1.1\r\nHost: "+b.secure.URL(name, "")[len("https://"):]+"\r\n\r\n")
			must(t, err)
			readUntil(t, conn, "\r\n\r\n")
			b.stop()
			if _, err := io.Copy(io.Discard, raw); err == nil && name == "other.test" {
				t.Error("the tunnel ended as if in order")
			}
			for _, r := range b.receipts() {
				if name == "other.test" && (r.Outcome != "failed" || r.Policy.Reason != "INTERNAL") {
					t.Errorf("%s %+v", r.Outcome, r.Policy)
				}
			}
		})
	}
}
