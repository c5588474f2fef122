package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/signet-egress/signet/receipts"
)

// A request head that cannot be taken is answered with what is wrong with it,
// leaves a receipt, and reaches nobody. (What the answers look like in full, the
// proxy's own golden files show.)
func TestBadHeads(t *testing.T) {
	s := newSite(t, options{})
	authority := strings.TrimPrefix(plain.url(s, ""), "http://")
	host := "Host: " + authority + "\r\n"
	cases := map[string]struct {
		head   string
		status int
		reason string
	}{
		"no HTTP":                {"EHLO agent\r\n\r\n", 400, "HEL_TARGET_MALFORMED"},
		"TLS":                    {"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\r\n\r\n", 400, "HEL_TARGET_MALFORMED"},
		"no version":             {"GET http://" + authority + "/\r\n\r\n", 400, "HEL_TARGET_MALFORMED"},
		"HTTP/3":                 {"GET http://" + authority + "/ HTTP/3.0\r\n" + host + "\r\n", 505, "HEL_TARGET_MALFORMED"},
		"h2 without TLS":         {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "HEL_TARGET_MALFORMED"},
		"origin-form":            {"GET /small HTTP/1.1\r\n" + host + "\r\n", 400, "HEL_TARGET_MALFORMED"},
		"asterisk-form":          {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 400, "HEL_TARGET_MALFORMED"},
		"no host":                {"GET http://" + authority + "/ HTTP/1.1\r\n\r\n", 400, "HEL_TARGET_MALFORMED"},
		"two hosts":              {"GET http://" + authority + "/ HTTP/1.1\r\n" + host + host + "\r\n", 400, "HEL_TARGET_MALFORMED"},
		"blank in the target":    {"GET http://" + authority + "/a b HTTP/1.1\r\n" + host + "\r\n", 400, "HEL_TARGET_MALFORMED"},
		"user in the target":     {"GET http://user@" + authority + "/ HTTP/1.1\r\n" + host + "\r\n", 400, "HEL_TARGET_MALFORMED"},
		"backslash":              {`GET http://evil.test\@` + authority + "/ HTTP/1.1\r\n" + host + "\r\n", 400, "HEL_TARGET_MALFORMED"},
		"decimal address":        {"GET http://2130706433/ HTTP/1.1\r\n" + host + "\r\n", 400, "HEL_TARGET_MALFORMED"},
		"octal address":          {"GET http://0177.0.0.1/ HTTP/1.1\r\n" + host + "\r\n", 400, "HEL_TARGET_MALFORMED"},
		"other scheme":           {"GET gopher://" + authority + "/ HTTP/1.1\r\n" + host + "\r\n", 400, "HEL_TARGET_MALFORMED"},
		"no transfer coding":     {"POST http://" + authority + "/ HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n", 400, "HEL_TARGET_MALFORMED"},
		"two lengths":            {"POST http://" + authority + "/ HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "HEL_TARGET_MALFORMED"},
		"blank before the colon": {"GET http://" + authority + "/ HTTP/1.1\r\n" + host + "X-A : b\r\n\r\n", 400, "HEL_TARGET_MALFORMED"},
		"NUL in a field":         {"GET http://" + authority + "/ HTTP/1.1\r\n" + host + "X-A: b\x00\r\n\r\n", 400, "HEL_TARGET_MALFORMED"},
		"TRACE":                  {"TRACE http://" + authority + "/ HTTP/1.1\r\n" + host + "\r\n", 403, "HEL_METHOD_NOT_ALLOWED"},
		"header block too large": {"GET http://" + authority + "/ HTTP/1.1\r\n" + host + "X-A: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", 431, "LIMIT_EXCEEDED"},
		"too many fields":        {"GET http://" + authority + "/ HTTP/1.1\r\n" + host + strings.Repeat("X-A: b\r\n", 101) + "\r\n", 431, "LIMIT_EXCEEDED"},
		"target too long":        {"GET http://" + authority + "/" + strings.Repeat("a", 9<<10) + " HTTP/1.1\r\n" + host + "\r\n", 400, "HEL_TARGET_MALFORMED"},
		"CONNECT to a path":      {"CONNECT opaque.test/ HTTP/1.1\r\nHost: opaque.test\r\n\r\n", 400, "HEL_TARGET_MALFORMED"},
		"CONNECT without a port": {"CONNECT opaque.test HTTP/1.1\r\nHost: opaque.test\r\n\r\n", 400, "HEL_TARGET_MALFORMED"},
		"CONNECT to port 22":     {"CONNECT opaque.test:22 HTTP/1.1\r\nHost: opaque.test:22\r\n\r\n", 403, "HEL_PORT_NOT_ALLOWED"},
		"CONNECT to port 0":      {"CONNECT opaque.test:0 HTTP/1.1\r\nHost: opaque.test:0\r\n\r\n", 400, "HEL_TARGET_MALFORMED"},
	}
	car := s.start()
	ids := make(map[string]string) // the reason that each receipt must have
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			status, denial := say(t, car.addr, c.head)
			if status != c.status || denial.Reason != c.reason || denial.Hint == "" || denial.ReceiptID == "" {
				t.Errorf("answered %d %+v, want %d %s", status, denial, c.status, c.reason)
			}
			ids[denial.ReceiptID] = c.reason
		})
	}
	if t.Failed() {
		return
	}

	all := car.receipts()
	if len(all) != len(cases) {
		t.Errorf("%d receipts for %d heads", len(all), len(cases))
	}
	for _, r := range all {
		if r.Outcome != receipts.Denied || r.Policy.Reason != ids[r.ReceiptID] || r.Detail.Forwarded != nil {
			t.Errorf("%s: %s %+v", r.ReceiptID, r.Outcome, r.Policy)
		}
	}
	if n := s.plain.Connections() + s.secure.Connections(); n != 0 || len(s.dns.Log()) != 0 {
		t.Errorf("%d connections, queries %v", n, s.dns.Log())
	}
}

// denial is the body of a refusal, as far as tests look at it.
type denial struct {
	Reason    string `json:"reason"`
	Hint      string `json:"hint"`
	Detail    string `json:"detail"`
	ReceiptID string `json:"receipt_id"`
}

// say sends bytes to the proxy and reads one answer.
func say(t *testing.T, proxy, head string) (status int, d denial) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", proxy)
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	// The proxy may answer and close before it has read all.
	_, _ = io.WriteString(conn, head)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer func() { must(t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q of %s %q", got, resp.Status, body)
		return resp.StatusCode, d
	}
	must(t, json.Unmarshal(body, &d))
	if id := resp.Header.Get("X-Signet-Receipt"); id != d.ReceiptID {
		t.Errorf("the header names receipt %q, the body %q", id, d.ReceiptID)
	}
	return resp.StatusCode, d
}
