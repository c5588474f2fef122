package e2e

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/receipts"
)

// refused asks the sidecar with curl and returns the reason of the denial.
func refused(t *testing.T, c *sidecar, url string) string {
	t.Helper()
	got := testkit.Curl(t, "--proxy", c.proxyURL(), "--cacert", c.site.path("ca.pem"), "--output", "/dev/null",
		"--dump-header", "-", "--write-out", "%{http_connect} %{response_code}", url)
	for line := range strings.Lines(got.Stdout) {
		if reason, ok := strings.CutPrefix(line, "X-Signet-Reason: "); ok {
			return strings.TrimSpace(reason)
		}
	}
	t.Errorf("%s was not refused: %q, curl exited with %d: %s", url, got.Stdout, got.ExitCode, got.Stderr)
	return ""
}

// What the policy denies causes no query: a name is a way out too.
func TestDeniedHostCausesNoQuery(t *testing.T) {
	s := newSite(t, options{rules: `
rules:
  - {name: narrow, hosts: [api.test], ports: [443], methods: [POST], paths: [/v1/**], intercept: true}
  - {name: plain, hosts: [plain.test], ports: [80], schemes: [http], methods: [POST], paths: [/v1/**]}
  - {name: wide, hosts: ["*.wide.test"]}
deny:
  - {name: leaks, hosts: [leak.wide.test]}
`})
	car := s.start()
	for url, reason := range map[string]string{
		"https://evil.test/":                     "HEL_HOST_NOT_ALLOWED",
		"http://secret-in-a-label.evil.test/":    "HEL_HOST_NOT_ALLOWED",
		"https://api.test.evil.test/":            "HEL_HOST_NOT_ALLOWED",
		"https://wide.test/":                     "HEL_HOST_NOT_ALLOWED",
		"https://two.labels.wide.test/":          "HEL_HOST_NOT_ALLOWED",
		"https://leak.wide.test/":                "HEL_HOST_DENIED",
		"http://api.test:443/":                   "HEL_SCHEME_NOT_ALLOWED",
		"https://api.test:8443/":                 "HEL_PORT_NOT_ALLOWED",
		"http://plain.test/v1/x":                 "HEL_METHOD_NOT_ALLOWED",
		"http://169.254.169.254/latest":          "HEL_HOST_NOT_ALLOWED",
		"https://[::ffff:169.254.169.254]/":      "HEL_TARGET_MALFORMED",
		"http://user:secret@plain.test/v1/upper": "HEL_METHOD_NOT_ALLOWED", // curl takes the user out of the target
	} {
		if got := refused(t, car, url); got != reason {
			t.Errorf("%s: %s, want %s", url, got, reason)
		}
	}
	expectAllDenied(t, car.receipts())
	if asked := s.dns.Log(); len(asked) != 0 {
		t.Errorf("the DNS server was asked %v", asked)
	}
}

func expectAllDenied(t *testing.T, all []*receipts.Receipt) {
	t.Helper()
	if len(all) == 0 {
		t.Error("no receipts")
	}
	for _, r := range all {
		if r.Outcome != receipts.Denied || r.Policy.Allowed || r.Usage.VEX != 0 || r.Detail.Forwarded != nil {
			t.Errorf("%s %+v %+v", r.Outcome, r.Policy, r.Detail.Forwarded)
		}
	}
}

// A name that leads to an address that may not be reached causes no SYN there,
// nor anywhere else: one bad address poisons the answer.
func TestDeniedAddressCausesNoSYN(t *testing.T) {
	trap := testkit.Tripwire(t, netip.AddrPortFrom(closed, 0).String())
	good := testkit.Tripwire(t, netip.AddrPortFrom(loopback, trap.Addr().Port()).String())
	port := good.Addr().Port()
	s := newSite(t, options{rules: fmt.Sprintf(`
rules:
  - {name: plain, hosts: ["*.plain.test", 127.0.0.2], ports: [%[1]d], schemes: [http]}
  - {name: opaque, hosts: ["*.opaque.test"], ports: [%[1]d]}
  - {name: intercepted, hosts: ["*.api.test"], ports: [%[1]d], intercept: true}
`, port)})
	car := s.start()
	answers := map[string]peers.Answer{
		"bad":   {Addrs: []netip.Addr{closed}, TTL: time.Minute},
		"mixed": {Addrs: []netip.Addr{loopback, closed}, TTL: time.Minute},
		"v6":    {Addrs: []netip.Addr{loopback, netip.MustParseAddr("fd00::1")}, TTL: time.Minute},
		"alias": {CNAME: "bad.plain.test", TTL: time.Minute},
	}
	urls := []string{fmt.Sprintf("http://127.0.0.2:%d/", port)}
	for label, answer := range answers {
		for _, url := range []string{"http://%s.plain.test:%d/", "https://%s.opaque.test:%d/", "https://%s.api.test:%d/"} {
			url = fmt.Sprintf(url, label, port)
			urls = append(urls, url)
			s.dns.Sequence(hostOf(t, url), answer)
		}
	}
	for _, url := range urls {
		if got := refused(t, car, url); got != "HEL_ADDRESS_DENIED" {
			t.Errorf("%s: %s", url, got)
		}
	}
	expectAllDenied(t, car.receipts())
}

// A name that is good at first and bad later is judged each time.
func TestRebindingCausesNoSYN(t *testing.T) {
	s := newSite(t, options{})
	trap := testkit.Tripwire(t, netip.AddrPortFrom(closed, s.plain.Port()).String())
	s.dns.Sequence("plain.test",
		peers.Answer{Addrs: []netip.Addr{loopback}}, // TTL 0
		peers.Answer{Addrs: []netip.Addr{trap.Addr().Addr()}},
	)
	car := s.start()
	got := testkit.Curl(t, "--proxy", car.proxyURL(), plain.url(s, "/small"))
	if got.ExitCode != 0 {
		t.Fatalf("%+v", got)
	}
	if reason := refused(t, car, plain.url(s, "/small")); reason != "HEL_ADDRESS_DENIED" {
		t.Errorf("after rebinding: %s", reason)
	}
	all := car.receipts()
	if len(all) != 2 || all[0].Outcome != receipts.Forwarded || all[1].Outcome != receipts.Denied {
		t.Errorf("%d receipts", len(all))
	}
}

func hostOf(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	return req.URL.Hostname()
}
