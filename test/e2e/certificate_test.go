package e2e

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/receipts"
)

// An upstream whose certificate does not hold gets no request, and the agent no
// leaf that would look as if it did. Nothing in the configuration changes that.
func TestBadCertificates(t *testing.T) {
	stranger := testkit.CA(t)
	for name, leaf := range map[string]func(ca *peers.CA) (tls.Certificate, error){
		"self-signed":       func(*peers.CA) (tls.Certificate, error) { return peers.SelfSigned("bad.test") },
		"other name":        func(ca *peers.CA) (tls.Certificate, error) { return ca.Leaf("good.test", "127.0.0.1") },
		"expired":           func(ca *peers.CA) (tls.Certificate, error) { return ca.ExpiredLeaf("bad.test") },
		"unknown authority": func(*peers.CA) (tls.Certificate, error) { return stranger.Leaf("bad.test") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, options{})
			cert, err := leaf(s.ca)
			must(t, err)
			u := testkit.Upstream(t, peers.UpstreamOptions{Certificate: &cert})
			s.dns.Set("bad.test", time.Minute, loopback)
			s.writePolicy(fmt.Sprintf("rules: [{name: bad, hosts: [bad.test], ports: [%d], intercept: true}]", u.Port()), "127.0.0.1/32")
			car := s.start()
			// curl trusts whatever leaf Signet would show, and would name it in its trace.
			got := testkit.Curl(t, "--proxy", car.proxyURL(), "--cacert", car.interceptionRoots(), "--verbose",
				"--write-out", "%{http_connect} %{num_connects} %{time_appconnect}", u.URL("bad.test", "/small"))
			const recvError = 56 // the proxy refused the CONNECT
			if got.ExitCode != recvError || got.Stdout != "502 1 0.000000" {
				t.Errorf("curl exited with %d and said %q, %s", got.ExitCode, got.Stdout, got.Stderr)
			}
			if n := u.RequestCount(); n != 0 || u.SNI("bad.test") == 0 {
				t.Errorf("the upstream saw %d handshakes and %d requests", u.SNI("bad.test"), n)
			}
			r := car.only()
			if r.Outcome != receipts.Failed || r.Policy.Reason != "UPSTREAM_FAILED" || r.Usage.VEX != 0 {
				t.Errorf("%s %+v", r.Outcome, r.Policy)
			}
		})
	}
}
