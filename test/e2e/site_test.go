package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	loopback = netip.MustParseAddr("127.0.0.1")
	closed   = netip.MustParseAddr("127.0.0.2") // loopback that the policy does not open
)

// site is everything around a sidecar, and the directory that it lives in. One
// sidecar after the other can run on it.
type site struct {
	t      *testing.T
	dir    string // signet.yaml, policy and data
	policy string // within dir: policy.yaml, or a directory where there are schemas
	ca     *peers.CA
	dns    *peers.DNS
	secure *peers.Upstream // api.test and opaque.test, which prefer h2
	old    *peers.Upstream // the same as old-api.test and old-opaque.test, without h2
	plain  *peers.Upstream // plain.test
}

// options are what differs from a usual site.
type options struct {
	rules  string // the policy's rules; PORTS are those of the upstreams
	allow  string // addresses.allow; 127.0.0.1/32 when empty
	config string // more lines of signet.yaml
	data   string // data directory; a new one when empty

	schemas map[string]string // files beside the policy's
}

const usualRules = `
rules:
  - {name: plain, hosts: [plain.test], ports: [PORTS], schemes: [http, ws]}
  - {name: opaque, hosts: [opaque.test, old-opaque.test], ports: [PORTS], schemes: [https, wss]}
  - {name: intercepted, hosts: [api.test, old-api.test], ports: [PORTS], schemes: [https, wss], intercept: true}
`

func newSite(t *testing.T, o options) *site {
	t.Helper()
	s := &site{t: t, dir: shortDir(t), policy: "policy.yaml", ca: testkit.CA(t), dns: testkit.DNS(t)}
	s.secure = testkit.Secure(t, s.ca, "api.test", "opaque.test")
	leaf, err := s.ca.Leaf("old-api.test", "old-opaque.test")
	must(t, err)
	s.old = testkit.Upstream(t, peers.UpstreamOptions{Certificate: &leaf, Protocols: []string{"http/1.1"}})
	s.plain = testkit.Plain(t)
	for _, name := range []string{"plain.test", "api.test", "opaque.test", "old-api.test", "old-opaque.test"} {
		s.dns.Set(name, time.Minute, loopback)
	}
	if o.rules == "" {
		o.rules = usualRules
	}
	if o.allow == "" {
		o.allow = "127.0.0.1/32"
	}
	if o.data == "" {
		o.data = "data"
	}
	s.write("ca.pem", string(s.ca.PEM()))
	if o.schemas != nil {
		s.policy = "policy"
		must(t, os.Mkdir(s.path(s.policy), 0o700))
		for name, text := range o.schemas {
			s.write(filepath.Join(s.policy, name), text)
		}
	}
	s.writePolicy(o.rules, o.allow)
	s.writeConfig(o.data, o.config)
	return s
}

// shortDir is a temporary directory without the test's name in its path, which
// could be too long for the admin socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-") //nolint:usetesting // see above
	must(t, err)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (s *site) writePolicy(rules, allow string) {
	s.t.Helper()
	ports := fmt.Sprintf("%d, %d, %d", s.secure.Port(), s.old.Port(), s.plain.Port())
	file := s.policy
	if filepath.Ext(file) == "" {
		file = filepath.Join(file, "policy.yaml")
	}
	s.write(file, fmt.Sprintf("version: 1\n%s\naddresses: {allow: [%s]}\n", strings.ReplaceAll(rules, "PORTS", ports), allow))
}

func (s *site) writeConfig(data, more string) {
	s.t.Helper()
	s.write("signet.yaml", fmt.Sprintf(`listen: 127.0.0.1:0
metrics_listen: 127.0.0.1:0
data: %s
policy: %s
tenant: acme
agent: tester
resolver: {upstreams: ["%s"]}
tls: {extra_roots: [ca.pem]}
%s
`, data, s.policy, s.dns.URL(), more))
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, text string) {
	s.t.Helper()
	must(s.t, os.WriteFile(s.path(name), []byte(text), 0o600))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
