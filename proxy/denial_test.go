package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/goldenfile"
	"github.com/signet-egress/signet/internal/testkit/peers"
	"github.com/signet-egress/signet/receipts"
)

// What an agent reads on the wire when it is refused, byte for byte.
func TestDenialsOnTheWire(t *testing.T) {
	rules := `
rules:
  - {name: api, hosts: [up.test, plain.test], ports: [PORT, 1], schemes: [http, https], methods: [GET], intercept: true}
  - {name: gone, hosts: [gone.test], schemes: [http], ports: [80]}
  - {name: literal, hosts: [10.1.2.3], schemes: [http], ports: [80]}
deny:
  - {name: paste-sites, hosts: ["*.paste.test"]}
`
	get := func(target, host string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"
	}
	for _, c := range []struct {
		name, send string
		outcome    receipts.Outcome
		reason     string
	}{
		{"host-plain", get("http://nowhere.test/a?secret=1", "nowhere.test"), receipts.Denied, "HEL_HOST_NOT_ALLOWED"},
		{"host-connect", "CONNECT nowhere.test:443 HTTP/1.1\r\nHost: nowhere.test:443\r\n\r\n", receipts.Denied, "HEL_HOST_NOT_ALLOWED"},
		{"deny-list", get("http://x.paste.test/", "x.paste.test"), receipts.Denied, "HEL_HOST_DENIED"},
		{"port", "CONNECT up.test:22 HTTP/1.1\r\nHost: up.test:22\r\n\r\n", receipts.Denied, "HEL_PORT_NOT_ALLOWED"},
		{"method", "DELETE http://plain.test:PORT/ HTTP/1.1\r\nHost: plain.test:PORT\r\nConnection: close\r\n\r\n", receipts.Denied, "HEL_METHOD_NOT_ALLOWED"},
		{"trace", "TRACE http://plain.test:PORT/ HTTP/1.1\r\nHost: plain.test:PORT\r\nConnection: close\r\n\r\n", receipts.Denied, "HEL_METHOD_NOT_ALLOWED"},
		{"address", get("http://10.1.2.3/", "10.1.2.3"), receipts.Denied, "HEL_ADDRESS_DENIED"},
		{"resolve", get("http://gone.test/", "gone.test"), receipts.Denied, "HEL_RESOLVE_FAILED"},
		{"upstream", get("http://plain.test:1/", "plain.test:1"), receipts.Failed, "UPSTREAM_FAILED"},
		{"origin-form", get("/", "127.0.0.1"), receipts.Denied, "HEL_TARGET_MALFORMED"},
		{"https-without-connect", get("https://up.test/", "up.test"), receipts.Denied, "HEL_TARGET_MALFORMED"},
		{"userinfo", get("http://a@plain.test/", "plain.test"), receipts.Denied, "HEL_TARGET_MALFORMED"},
		{"connection-names-host", "GET http://plain.test:PORT/ HTTP/1.1\r\nHost: plain.test:PORT\r\nConnection: close, host\r\n\r\n", receipts.Denied, "HEL_TARGET_MALFORMED"},
		{"loop", "GET http://plain.test:PORT/ HTTP/1.1\r\nHost: plain.test:PORT\r\nVia: 1.1 other, 1.1 signet-test\r\nConnection: close\r\n\r\n", receipts.Denied, "LOOP_DETECTED"},
		{"loop-websocket", "GET http://plain.test:PORT/ HTTP/1.1\r\nHost: plain.test:PORT\r\nVia: 1.1 signet-test\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", receipts.Denied, "LOOP_DETECTED"},
		{"request-line", "NOT HTTP\r\n\r\n", receipts.Denied, "HEL_TARGET_MALFORMED"},
		{"header-syntax", "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nbad name: x\r\n\r\n", receipts.Denied, "HEL_TARGET_MALFORMED"},
		{"header-block", "GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", receipts.Denied, "LIMIT_EXCEEDED"},
		{"header-fields", "GET http://plain.test:PORT/ HTTP/1.1\r\nHost: plain.test:PORT\r\nConnection: close\r\n" + strings.Repeat("A: b\r\n", 101) + "\r\n", receipts.Denied, "LIMIT_EXCEEDED"},
		{"transfer-coding", "POST http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nTransfer-Encoding: gzip\r\n\r\n", receipts.Denied, "HEL_TARGET_MALFORMED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dns := testkit.DNS(t)
			dns.Set("plain.test", 0, loopback)
			dns.Set("up.test", 0, loopback)
			b := start(t, options{policy: rules, dns: dns.URL()})
			conn := b.dial()
			_, err := io.WriteString(conn, strings.ReplaceAll(c.send, "PORT", fmt.Sprint(b.plain.Port())))
			must(t, err)
			answer, err := io.ReadAll(conn)
			must(t, err)
			must(t, conn.Close())
			r := b.only()
			goldenfile.Compare(t, "denials/"+c.name+".http", b.mask(string(answer), r.ReceiptID))
			if r.Outcome != c.outcome || r.Policy.Reason != c.reason {
				t.Errorf("receipt: %s %s, want %s %s", r.Outcome, r.Policy.Reason, c.outcome, c.reason)
			}
			if n := b.plain.RequestCount(); n != 0 {
				t.Errorf("the upstream saw %d requests", n)
			}
			if len(b.logs.lines("decision")) != 1 || len(b.logs.lines("close")) != 1 || strings.Contains(b.logs.String(), "secret") {
				t.Errorf("logs: %s", b.logs.String())
			}
		})
	}
}

// mask takes out what differs from run to run.
func (b *bench) mask(answer, receiptID string) string {
	answer = strings.ReplaceAll(answer, receiptID, "RECEIPT")
	answer = strings.ReplaceAll(answer, fmt.Sprint(b.plain.Port()), "PORT")
	answer = regexp.MustCompile(`Date: [^\r]+`).ReplaceAllString(answer, "Date: DATE")
	return regexp.MustCompile(`Content-Length: \d+`).ReplaceAllString(answer, "Content-Length: N")
}

// A gRPC client reads a status, not a problem document.
func TestDenialGRPC(t *testing.T) {
	b := start(t, options{policy: strings.ReplaceAll(anything, "intercept: true", `intercept: true, paths: ["/none"]`)})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.secure.URL("up.test", "/pkg.Service/Method"), bytes.NewReader([]byte{0, 0, 0, 0, 0}))
	must(t, err)
	req.Header.Set("Content-Type", "application/grpc+proto")
	resp, err := b.client(true).Do(req)
	must(t, err)
	must(t, resp.Body.Close())
	h := resp.Header
	if resp.StatusCode != 200 || h.Get("Grpc-Status") != "7" || h.Get("Grpc-Message") != "Signet HEL_PATH_NOT_ALLOWED" || h.Get("Content-Type") != "application/grpc" {
		t.Errorf("%s %v", resp.Status, h)
	}
}

// A denied name is asked of nobody, and a denied address is never connected to.
func TestDenialHasNoEffect(t *testing.T) {
	dns := testkit.DNS(t)
	wire := testkit.Tripwire(t, "127.0.0.66:0")
	dns.Set("trap.test", 0, wire.Addr().Addr())
	b := start(t, options{dns: dns.URL(), policy: fmt.Sprintf(`
rules:
  - {name: trap, hosts: [trap.test], ports: [%d], schemes: [http, https]}
addresses:
  allow: [127.0.0.1/32]
`, wire.Addr().Port())})
	client := b.client(false)
	for _, url := range []string{
		fmt.Sprintf("http://unlisted.test:%d/", wire.Addr().Port()),
		fmt.Sprintf("http://trap.test:%d/", wire.Addr().Port()),
	} {
		resp, err := client.Get(url)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", url, resp.Status)
		}
	}
	if _, err := client.Get(fmt.Sprintf("https://trap.test:%d/", wire.Addr().Port())); err == nil || !strings.Contains(err.Error(), "Signet HEL_ADDRESS_DENIED") {
		t.Errorf("CONNECT: %v", err)
	}
	if n := dns.Queries("unlisted.test"); n != 0 {
		t.Errorf("%d queries for a name that is not allowed", n)
	}
}

// A receipt says what a name led to, and that it is rebinding.
func TestRebindingIsOnRecord(t *testing.T) {
	dns := testkit.DNS(t)
	dns.Sequence("plain.test",
		peers.Answer{Addrs: []netip.Addr{loopback}},
		peers.Answer{Addrs: []netip.Addr{netip.MustParseAddr("169.254.169.254")}})
	b := start(t, options{policy: anything, dns: dns.URL()})
	for _, want := range []int{200, 403} {
		resp, err := b.client(false).Get(b.plain.URL("plain.test", "/small"))
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != want {
			t.Errorf("%s, want %d", resp.Status, want)
		}
	}
	all := b.receipts()
	if d := all[0].Detail.DNS; d.Rebound || fmt.Sprint(d.Answers) != "[127.0.0.1]" {
		t.Errorf("first: %+v", d)
	}
	if d := all[1].Detail.DNS; !d.Rebound || fmt.Sprint(d.Answers) != "[169.254.169.254]" {
		t.Errorf("second: %+v", d)
	}
}
