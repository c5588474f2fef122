package proxy_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/proxy"
	"github.com/signet-egress/signet/receipts"
)

// ways are the two kinds of connection that requests come on in HTTP/1.1, each
// with the request target of a path.
func (b *bench) ways() map[string]struct {
	open   func() net.Conn
	target func(path string) string
	host   string
} {
	type way = struct {
		open   func() net.Conn
		target func(path string) string
		host   string
	}
	return map[string]way{
		"plain": {b.dial, func(path string) string { return b.plain.URL("plain.test", path) }, fmt.Sprintf("plain.test:%d", b.plain.Port())},
		"intercepted": {func() net.Conn {
			host := fmt.Sprintf("up.test:%d", b.secure.Port())
			c := tls.Client(b.connect(host), &tls.Config{ServerName: "up.test", RootCAs: b.root, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12})
			must(b.t, c.HandshakeContext(b.t.Context()))
			return c
		}, func(path string) string { return path }, fmt.Sprintf("up.test:%d", b.secure.Port())},
	}
}

// readAnswer reads one answer, with the problem that it tells where it is a denial.
func readAnswer(t *testing.T, r *bufio.Reader) (status int, problem struct{ Reason, Detail string }, body string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	must(t, err)
	defer func() { must(t, resp.Body.Close()) }()
	content, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.Header.Get("Content-Type") == "application/problem+json" {
		must(t, json.Unmarshal(content, &problem))
	}
	return resp.StatusCode, problem, string(content)
}

// A request that cannot be read in one way only ends its connection, after those
// before it have been answered, and nothing of it or behind it goes anywhere.
// (Package framing has the rules.)
func TestRefusedForm(t *testing.T) {
	for name, c := range map[string]struct {
		head, detail string // behind the good request line and Host
		status       int
	}{
		"length and coding": {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled", "both", 400},
		"folded":            {"A: b\r\n c\r\n\r\n", "folded", 400},
		"bare LF":           {"A: b\n\r\n", "bare LF", 400},
		"too large":         {"A: " + strings.Repeat("b", 40<<10) + "\r\n\r\n", "32768", 431},
		"cut off":           {"A: b\r\n", "empty line", 400},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, options{policy: anything})
			for way, w := range b.ways() {
				conn := w.open()
				good := "GET " + w.target("/small") + " HTTP/1.1\r\nHost: " + w.host + "\r\n"
				_, _ = io.WriteString(conn, good+"\r\n"+good+"\r\n"+strings.Replace(good, "GET", "POST", 1)+c.head)
				must(t, conn.(interface{ CloseWrite() error }).CloseWrite())
				r := bufio.NewReader(conn)
				for range 2 {
					if status, _, _ := readAnswer(t, r); status != http.StatusOK {
						t.Errorf("%s: a good request before is answered %d", way, status)
					}
				}
				status, problem, _ := readAnswer(t, r)
				if status != c.status || !strings.Contains(problem.Detail, c.detail) {
					t.Errorf("%s: %d %+v", way, status, problem)
				}
				if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
					t.Errorf("%s: then %q, %v", way, rest, err)
				}
				must(t, conn.Close())
			}
			count := map[receipts.Outcome]int{}
			for _, r := range b.receipts() {
				count[r.Outcome]++
			}
			if count[receipts.Forwarded] != 4 || count[receipts.Denied] != 2 {
				t.Errorf("receipts: %v", count)
			}
			if n := b.plain.RequestCount() + b.secure.RequestCount(); n != 4 {
				t.Errorf("the upstreams saw %d requests", n)
			}
		})
	}
}

// Over h2 the bound on the fields is the same.
func TestFieldsTooLargeOverH2(t *testing.T) {
	b := start(t, options{policy: anything})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.secure.URL("up.test", "/small"), nil)
	must(t, err)
	req.Header.Set("A", strings.Repeat("b", 33<<10))
	resp, err := b.client(true).Do(req)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge || resp.Header.Get("X-Signet-Reason") != "LIMIT_EXCEEDED" {
		t.Errorf("%s %s %v", resp.Proto, resp.Status, resp.Header)
	}
	denied := 0
	for _, r := range b.receipts() { // the CONNECT has one too, since it carried nothing
		if r.Outcome == receipts.Denied && r.Policy.Reason == "LIMIT_EXCEEDED" {
			denied++
		}
	}
	if denied != 1 || b.secure.RequestCount() != 0 {
		t.Errorf("%d receipts tell of it; the upstream saw %d requests", denied, b.secure.RequestCount())
	}
}

// Of content whose chunks are malformed, the agent is told why it was not taken,
// if the upstream has not begun to answer by then.
func TestRefusedChunks(t *testing.T) {
	b := start(t, options{policy: anything})
	for way, w := range b.ways() {
		conn := w.open()
		_, err := io.WriteString(conn, "POST "+w.target("/digest")+" HTTP/1.1\r\nHost: "+w.host+"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=\"\n\"\r\nx\r\n0\r\n\r\n")
		must(t, err)
		r := bufio.NewReader(conn)
		status, problem, _ := readAnswer(t, r)
		if status != http.StatusBadRequest || problem.Reason != "HEL_TARGET_MALFORMED" || !strings.Contains(problem.Detail, "bare LF") {
			t.Errorf("%s: %d %+v", way, status, problem)
		}
		if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
			t.Errorf("%s: then %q, %v", way, rest, err)
		}
		must(t, conn.Close())
	}
	for _, r := range b.receipts() {
		if r.Outcome != receipts.Failed || r.Policy.Reason != "HEL_TARGET_MALFORMED" {
			t.Errorf("receipt %s %s", r.Outcome, r.Policy.Reason)
		}
	}
}

// An agent that closes its side behind its request still reads the answer, as
// long as it comes in time; who has left is known to have after that.
func TestHalfClosedAgent(t *testing.T) {
	b := start(t, options{policy: anything, timeouts: proxy.Timeouts{Farewell: time.Hour}})
	for way, w := range b.ways() {
		conn := w.open()
		_, err := io.WriteString(conn, "GET "+w.target("/small")+" HTTP/1.1\r\nHost: "+w.host+"\r\n\r\n")
		must(t, err)
		must(t, conn.(interface{ CloseWrite() error }).CloseWrite())
		r := bufio.NewReader(conn)
		if status, _, _ := readAnswer(t, r); status != http.StatusOK {
			t.Errorf("%s: %d", way, status)
		}
		if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
			t.Errorf("%s: then %q, %v", way, rest, err)
		}
		must(t, conn.Close())
	}
	for _, r := range b.receipts() {
		if r.Outcome != receipts.Forwarded {
			t.Errorf("receipt %s %s", r.Outcome, r.Policy.Reason)
		}
	}
}

func TestAgentThatLeft(t *testing.T) {
	b := start(t, options{policy: anything, timeouts: proxy.Timeouts{Farewell: time.Millisecond}})
	conn := b.dial()
	host := fmt.Sprintf("plain.test:%d", b.rawPort())
	_, err := io.WriteString(conn, "GET http://"+host+"/ HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
	must(t, err)
	upstream, err := b.raw.Accept()
	must(t, err)
	defer func() { _ = upstream.Close() }()
	must(t, conn.Close())
	if _, err := io.Copy(io.Discard, upstream); err != nil { // ends when Signet gives up
		t.Error(err)
	}
	if r := b.only(); r.Outcome != receipts.Failed || r.Policy.Reason != "CLIENT_ABORTED" {
		t.Errorf("receipt %s %s", r.Outcome, r.Policy.Reason)
	}
}

// A head that never ends is given up, first on its connection and after another.
// (How long it may take, TestHeadTime shows without a clock.)
func TestSlowHead(t *testing.T) {
	const limit = 3 * time.Second // the agent's handshake and the head before must stay below it on a busy machine
	b := start(t, options{policy: anything, timeouts: proxy.Timeouts{RequestHeader: limit}})
	for way, w := range b.ways() {
		for _, before := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, %d before", way, before), func(t *testing.T) {
				t.Parallel()
				conn := w.open()
				r := bufio.NewReader(conn)
				good := "GET " + w.target("/small") + " HTTP/1.1\r\nHost: " + w.host + "\r\n"
				for range before {
					_, err := io.WriteString(conn, good+"\r\n")
					must(t, err)
					readAnswer(t, r)
				}
				_, err := io.WriteString(conn, good)
				must(t, err)
				if rest, _ := io.ReadAll(r); len(rest) > 0 { // a tunnel that carried nothing is reset
					t.Errorf("then %q", rest)
				}
				_ = conn.Close()
			})
		}
	}
}

// An agent that already speaks the protocol it asks to switch to is understood
// when Signet switches, and refused when it does not.
func TestEagerUpgrade(t *testing.T) {
	ask := func(b *bench) string {
		host := fmt.Sprintf("plain.test:%d", b.rawPort())
		return "GET http://" + host + "/ HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	}
	const frame = "\x81\x80\x00\x00\x00\x00"
	t.Run("switched", func(t *testing.T) {
		b := start(t, options{policy: anything})
		conn := b.dial()
		_, err := io.WriteString(conn, ask(b)+frame)
		must(t, err)
		upstream, err := b.raw.Accept()
		must(t, err)
		defer func() { _ = upstream.Close() }()
		r := bufio.NewReader(upstream)
		_, err = http.ReadRequest(r)
		must(t, err)
		_, err = io.WriteString(upstream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		must(t, err)
		got := make([]byte, len(frame))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != frame {
			t.Errorf("the upstream reads %q, %v", got, err)
		}
		must(t, conn.Close())
	})
	t.Run("refused", func(t *testing.T) {
		b := start(t, options{policy: strings.Replace(anything, "http, ws", "http", 1)})
		conn := b.dial()
		r := bufio.NewReader(conn)
		_, err := io.WriteString(conn, ask(b))
		must(t, err)
		if status, problem, _ := readAnswer(t, r); status != http.StatusForbidden || problem.Reason != "HEL_SCHEME_NOT_ALLOWED" {
			t.Fatalf("%d %+v", status, problem)
		}
		_, err = io.WriteString(conn, ask(b)+frame) // the connection is as good as before
		must(t, err)
		if status, problem, _ := readAnswer(t, r); status != http.StatusForbidden || problem.Reason != "HEL_SCHEME_NOT_ALLOWED" {
			t.Errorf("%d %+v", status, problem)
		}
		if status, problem, _ := readAnswer(t, r); status != http.StatusBadRequest || problem.Reason != "HEL_TARGET_MALFORMED" {
			t.Errorf("%d %+v", status, problem)
		}
		must(t, conn.Close())
	})
}
