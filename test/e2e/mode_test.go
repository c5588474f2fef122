package e2e

import (
	"testing"

	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/receipts"
)

// mode is a way through the sidecar.
type mode struct {
	name     string
	host     string // that the policy carries in this mode
	upstream func(*site) *peers.Upstream
	protocol string // that the client asks for: h1 or h2
	seen     string // by the upstream, as r.Proto
	tls      string // in the receipt: none, tunnel or intercept
}

func plainOf(s *site) *peers.Upstream  { return s.plain }
func secureOf(s *site) *peers.Upstream { return s.secure }
func oldOf(s *site) *peers.Upstream    { return s.old }

var (
	plain         = mode{"plain", "plain.test", plainOf, "h1", "HTTP/1.1", "none"}
	opaqueH1      = mode{"opaque h1", "opaque.test", secureOf, "h1", "HTTP/1.1", "tunnel"}
	opaqueH2      = mode{"opaque h2", "opaque.test", secureOf, "h2", "HTTP/2.0", "tunnel"}
	interceptedH1 = mode{"intercepted h1", "old-api.test", oldOf, "h1", "HTTP/1.1", "intercept"}
	interceptedH2 = mode{"intercepted h2", "api.test", secureOf, "h2", "HTTP/2.0", "intercept"}

	allModes = []mode{plain, opaqueH1, opaqueH2, interceptedH1, interceptedH2}
	h1Modes  = []mode{plain, opaqueH1, interceptedH1}
)

// url is path at the mode's host.
func (m mode) url(s *site, path string) string { return m.upstream(s).URL(m.host, path) }

// roots is the file of what a client trusts in this mode and nothing more: that
// it is served at all shows who terminated its TLS.
func (m mode) roots(c *sidecar) string {
	if m.tls == "intercept" {
		return c.interceptionRoots()
	}
	return c.site.path("ca.pem")
}

// expect holds a receipt against an exchange that was carried in this mode to
// its end. An opaque tunnel tells of no request inside of it.
func (m mode) expect(t *testing.T, s *site, r *receipts.Receipt, want request) {
	t.Helper()
	d := r.Detail
	if r.Outcome != receipts.Forwarded || !r.Policy.Allowed || r.Policy.Reason != "ok" || r.Usage.VEX != 1 {
		t.Errorf("outcome %s, policy %+v, usage %+v", r.Outcome, r.Policy, r.Usage)
	}
	if r.Tenant != "acme" || r.Agent != "tester" {
		t.Errorf("tenant %s, agent %s", r.Tenant, r.Agent)
	}
	if d.Request.Host != m.host || d.Request.Port != int64(m.upstream(s).Port()) {
		t.Errorf("host %s:%d", d.Request.Host, d.Request.Port)
	}
	if d.DNS == nil || d.DNS.Resolver != s.dns.URL() || d.Forwarded == nil || d.Forwarded.PinnedIP != loopback.String() {
		t.Fatalf("dns %+v, forwarded %+v", d.DNS, d.Forwarded)
	}
	if d.TLS.Mode != m.tls || d.TLS.SNI != m.sni() {
		t.Errorf("tls %+v", d.TLS)
	}
	if m.tls == "tunnel" {
		if d.Request.Method != "CONNECT" || *d.Forwarded.BytesUp <= want.up || *d.Forwarded.BytesDown <= want.down {
			t.Errorf("a tunnel that carried %d bytes up and %d down: %+v, %d up, %d down",
				want.up, want.down, d.Request, *d.Forwarded.BytesUp, *d.Forwarded.BytesDown)
		}
		return
	}
	if d.Request.Protocol != m.protocol || d.Request.Method != want.method || d.Request.Path != want.path {
		t.Errorf("request %+v, want %s %s over %s", d.Request, want.method, want.path, m.protocol)
	}
	if d.Request.Digest != want.upDigest || *d.Request.Size != want.up {
		t.Errorf("request body %s, %d bytes; want %s, %d", d.Request.Digest, *d.Request.Size, want.upDigest, want.up)
	}
	if *d.Forwarded.StatusCode != 200 || d.Forwarded.ResponseDigest != want.downDigest || *d.Forwarded.ResponseSize != want.down {
		t.Errorf("answer %d, body %s, %d bytes; want 200, %s, %d",
			*d.Forwarded.StatusCode, d.Forwarded.ResponseDigest, *d.Forwarded.ResponseSize, want.downDigest, want.down)
	}
}

func (m mode) sni() string {
	if m.tls == "none" {
		return ""
	}
	return m.host
}

// request is one exchange as its two ends saw it.
type request struct {
	method, path         string
	up, down             int64  // bytes of the bodies
	upDigest, downDigest string // sha256: and hex
}
