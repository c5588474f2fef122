package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

// Heads that must be denied; AT is the authority of an allowed host. (More of
// them, about the target and the head's syntax, are in TestBadHeads.)
var hostileHeads = map[string]struct {
	head   string
	status int
	reason string
}{
	"Connection names Host":           {"GET http://AT/ HTTP/1.1\r\nHost: AT\r\nConnection: close, Host\r\n\r\n", 400, malformedTarget},
	"Connection names Authorization":  {"GET http://AT/ HTTP/1.1\r\nHost: AT\r\nConnection: authorization\r\n\r\n", 400, malformedTarget},
	"Connection names Content-Length": {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nContent-Length: 1\r\nConnection: close\r\nConnection: content-length\r\n\r\na", 400, malformedTarget},
	"Connection names X-Signet-Trace": {"GET http://AT/ HTTP/1.1\r\nHost: AT\r\nConnection: x-signet-trace\r\n\r\n", 400, malformedTarget},
	"TRACK":                           {"TRACK http://AT/ HTTP/1.1\r\nHost: AT\r\n\r\n", 403, "HEL_METHOD_NOT_ALLOWED"},
	"authority-form":                  {"GET AT HTTP/1.1\r\nHost: AT\r\n\r\n", 400, malformedTarget},
	"another expectation":             {"GET http://AT/ HTTP/1.1\r\nHost: AT\r\nExpect: 200-ok\r\n\r\n", 417, malformedTarget},
	"two expectations":                {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nExpect: 100-continue, 200-ok\r\nContent-Length: 1\r\n\r\na", 417, malformedTarget},
	"lengths that differ":             {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, malformedTarget},
	"length with a sign":              {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nContent-Length: +5\r\n\r\nhello", 400, malformedTarget},
	"length in hexadecimal":           {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nContent-Length: 0x5\r\n\r\nhello", 400, malformedTarget},
	"length with a blank":             {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nContent-Length: 5 5\r\n\r\nhello", 400, malformedTarget},
	"length as a list":                {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nContent-Length: 5, 6\r\n\r\nhello", 400, malformedTarget},
	"two codings":                     {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, malformedTarget},
	"chunked twice":                   {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, malformedTarget},
	"another coding":                  {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, malformedTarget},
	"chunked in capitals":             {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 400, malformedTarget},
	"chunked in HTTP/1.0":             {"POST http://AT/ HTTP/1.0\r\nHost: AT\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, malformedTarget},
	"length and chunked":              {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, malformedTarget},
	"equal lengths":                   {"POST http://AT/ HTTP/1.1\r\nHost: AT\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400, malformedTarget},
	"another host":                    {"GET http://AT/ HTTP/1.1\r\nHost: evil.test\r\n\r\n", 400, malformedTarget},
	"another host for CONNECT":        {"CONNECT opaque.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n", 400, malformedTarget},
	"CONNECT without Host":            {"CONNECT opaque.test:443 HTTP/1.1\r\n\r\n", 400, malformedTarget},
	"CONNECT with content":            {"CONNECT opaque.test:443 HTTP/1.1\r\nHost: opaque.test:443\r\nContent-Length: 5\r\n\r\nhello", 400, malformedTarget},
	"bare line feeds":                 {"GET http://AT/ HTTP/1.1\nHost: AT\n\n", 400, malformedTarget},
	"bare carriage return":            {"GET http://AT/ HTTP/1.1\r\nHost: AT\r\nX-A: b\rX-B: c\r\n\r\n", 400, malformedTarget},
	"folded line":                     {"GET http://AT/ HTTP/1.1\r\nHost: AT\r\nX-A: b\r\n c\r\n\r\n", 400, malformedTarget},
	"name beyond ASCII":               {"GET http://AT/ HTTP/1.1\r\nHost: AT\r\nX-\u00e9: b\r\n\r\n", 400, malformedTarget},
	"an empty line first":             {"\r\nGET http://AT/ HTTP/1.1\r\nHost: AT\r\n\r\n", 400, malformedTarget},
	"a WebSocket without a rule":      {"GET http://AT/ HTTP/1.1\r\nHost: AT\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", 403, "HEL_SCHEME_NOT_ALLOWED"},
	"1001 query parameters":           {"GET http://AT/?" + strings.Repeat("a&", 1000) + "a HTTP/1.1\r\nHost: AT\r\n\r\n", 414, "LIMIT_EXCEEDED"},
}

func TestHostileHeads(t *testing.T) {
	s := newSite(t, options{rules: strings.NewReplacer(", wss", "", ", ws", "").Replace(usualRules)})
	car := s.start()
	at := strings.TrimPrefix(plain.url(s, ""), "http://")
	for name, c := range hostileHeads {
		status, d := say(t, car.addr, strings.ReplaceAll(c.head, "AT", at))
		if status != c.status || d.Reason != c.reason || d.ReceiptID == "" {
			t.Errorf("%s: %d %+v, want %d %s", name, status, d, c.status, c.reason)
		}
	}
	expectAllDenied(t, car.receipts())
	if n := s.plain.Connections(); n != 0 || len(s.dns.Log()) != 0 {
		t.Errorf("%d connections, queries %v", n, s.dns.Log())
	}
}

// What is carried leaves as one request that has one meaning, whatever was hidden
// in it: it is made anew from what Signet has understood. Each request here
// carries another one that a laxer server could see; where Signet itself sees it
// too, it is a request of its own, in a form that no proxy takes.
func TestNothingIsSmuggled(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		length  int64 // of the body that the upstream is told of; -1 chunked
	}{
		"length and chunked": {"POST http://AT/headers HTTP/1.1\r\nHost: AT\r\nX-Test-Id: 1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"1\r\na\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: AT\r\nX-Test-Id: 2\r\n\r\n", -1},
		"equal lengths": {"POST http://AT/headers HTTP/1.1\r\nHost: AT\r\nX-Test-Id: 1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n" +
			"aGET /smuggled HTTP/1.1\r\nHost: AT\r\nX-Test-Id: 2\r\n\r\n", 1},
		"chunk extension": {"POST http://AT/headers HTTP/1.1\r\nHost: AT\r\nX-Test-Id: 1\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"1;a=\"\n1\r\nGET /smuggled HTTP/1.1\r\nHost: AT\r\nX-Test-Id: 2\r\n\"\r\na\r\n0\r\n\r\n", -1},
		"trailer": {"POST http://AT/headers HTTP/1.1\r\nHost: AT\r\nX-Test-Id: 1\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n" +
			"1\r\na\r\n0\r\nContent-Length: 4\r\nX-Signet-Reason: ok\r\n\r\n", -1},
		"bare line feeds": {"POST http://AT/headers HTTP/1.1\nHost: AT\nX-Test-Id: 1\nContent-Length: 1\n\naGET /smuggled HTTP/1.1\nHost: AT\nX-Test-Id: 2\n\n", 1},
		"folded line":     {"POST http://AT/headers HTTP/1.1\r\nHost: AT\r\nX-Test-Id: 1\r\nX-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\naGET /smuggled HTTP/1.1\r\nHost: AT\r\nX-Test-Id: 2\r\n\r\n", 1},
		"h2c": {"POST http://AT/headers HTTP/1.1\r\nHost: AT\r\nX-Test-Id: 1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 1\r\n\r\n" +
			"aPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, options{})
			car := s.start()
			at := strings.TrimPrefix(plain.url(s, ""), "http://")
			resp, body := exchange(t, car.addr, strings.ReplaceAll(c.request, "AT", at))
			car.stop()
			for _, r := range s.plain.Requests() {
				if r.RequestURI != "/headers" {
					t.Errorf("the upstream saw %s", r.RequestURI)
				}
			}
			if resp.StatusCode == http.StatusBadRequest && resp.Close { // as good
				return
			}
			var seen peers.ReceivedRequest
			must(t, json.Unmarshal([]byte(body), &seen))
			if seen.RequestURI != "/headers" || seen.Host != at || seen.Length != c.length {
				t.Errorf("%s: the upstream saw %+v", resp.Status, seen)
			}
			for _, name := range []string{"Upgrade", "Http2-Settings", "Trailer", "X-Signet-Reason", "Connection"} {
				if v := seen.Header[name]; v != nil {
					t.Errorf("%s: %q went on", name, v)
				}
			}
		})
	}
}

// exchange sends bytes, half-closes, and returns the first answer.
func exchange(t *testing.T, proxy, request string) (*http.Response, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", proxy)
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	_, err = io.WriteString(conn, request)
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer func() { must(t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp, string(body)
}

// What an agent says of itself and of Signet does not go on (behaviours 43, 44).
func TestSpoofedFields(t *testing.T) {
	s := newSite(t, options{})
	car := s.start()
	at := strings.TrimPrefix(plain.url(s, ""), "http://")
	resp, body := exchange(t, car.addr, "GET http://"+at+"/headers HTTP/1.1\r\nHost: "+at+"\r\nX-Own: 1\r\nUser-Agent: a\r\n"+
		"X-Signet-Reason: ok\r\nX-Signet-Receipt: 1\r\nX-Signet-Agent: root\r\nX-Signet-Trace: t-1\r\n"+
		"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Anything: 1\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 127.0.0.1\r\n"+
		"Proxy-Authorization: Basic YTpi\r\nProxy-Connection: keep-alive\r\nKeep-Alive: 1\r\nTE: gzip\r\n\r\n")
	var seen peers.ReceivedRequest
	must(t, json.Unmarshal([]byte(body), &seen))
	var names []string
	for name := range seen.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	if seen.Host != at || !slices.Equal(names, []string{"User-Agent", "Via", "X-Own"}) {
		t.Errorf("%s: the upstream saw Host %q and the fields %q", resp.Status, seen.Host, names)
	}
	r := car.only()
	if r.Agent != "tester" || r.TraceID != "t-1" || r.ReceiptID != resp.Header.Get("X-Signet-Receipt") {
		t.Errorf("agent %s, trace %s, receipt %s; the answer names %q", r.Agent, r.TraceID, r.ReceiptID, resp.Header.Get("X-Signet-Receipt"))
	}
}

// An upstream cannot speak for Signet, nor send the agent past it: not by a
// redirect, which is the agent's to follow and to be denied, nor by Alt-Svc.
func TestHostileAnswers(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Alt-Svc", `h3=":443"; ma=86400`)
		h.Set("X-Signet-Reason", "ok")
		h.Set("X-Signet-Receipt", "forged")
		h.Set("X-Signet-Anything", "forged")
		h.Set("Proxy-Authenticate", `Basic realm="give me your key"`)
		w.WriteHeader(http.StatusEarlyHints)
		h.Set("Location", "https://evil.test/")
		w.WriteHeader(http.StatusFound)
	})
	s := newSite(t, options{})
	leaf, err := s.ca.Leaf("answer.test")
	must(t, err)
	open := testkit.Upstream(t, peers.UpstreamOptions{Handler: answer})
	secure := testkit.Upstream(t, peers.UpstreamOptions{Handler: answer, Certificate: &leaf})
	s.dns.Set("answer.test", time.Minute, loopback)
	s.writePolicy(fmt.Sprintf(`
rules:
  - {name: plain, hosts: [answer.test], ports: [%d], schemes: [http]}
  - {name: intercepted, hosts: [answer.test], ports: [%d], intercept: true}
`, open.Port(), secure.Port()), "127.0.0.1/32")
	car := s.start()
	for _, url := range []string{open.URL("answer.test", "/x"), secure.URL("answer.test", "/x")} {
		for _, protocol := range []string{"--http1.1", "--http2"} {
			got := testkit.Curl(t, "--include", "--proxy", car.proxyURL(), "--cacert", car.interceptionRoots(), protocol, url)
			text := strings.ToLower(got.Stdout)
			for _, field := range []string{"alt-svc", "forged", "x-signet-reason", "proxy-authenticate"} {
				if strings.Contains(text, field) {
					t.Errorf("%s %s: %s reached the agent: %s", protocol, url, field, got.Stdout)
				}
			}
			if got.ExitCode != 0 || !strings.Contains(text, "location: https://evil.test/") || !strings.Contains(text, "x-signet-receipt: ") {
				t.Errorf("%s %s: exit status %d: %s %s", protocol, url, got.ExitCode, got.Stdout, got.Stderr)
			}
		}
	}
	for _, r := range car.receipts() {
		if r.Outcome != "forwarded" || *r.Detail.Forwarded.StatusCode != http.StatusFound {
			t.Errorf("%s %+v", r.Outcome, r.Policy)
		}
	}
	if n := s.dns.Queries("evil.test"); n != 0 {
		t.Errorf("%d queries for the redirect's host", n)
	}
}
