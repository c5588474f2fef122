package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// What goes through Signet in the clear is never compressed: the agent's offer
// of WebSocket extensions is not passed on.
func TestWebSocketExtensionsAreNotOffered(t *testing.T) {
	b := start(t, options{policy: anything})
	for _, url := range []string{b.plain.URL("plain.test", "/ws"), b.secure.URL("up.test", "/ws")} {
		ws, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{
			HTTPClient: b.client(false), CompressionMode: websocket.CompressionContextTakeover,
			HTTPHeader: http.Header{"X-Test-Id": {"1"}},
		})
		must(t, err)
		must(t, ws.CloseNow())
		if got := resp.Header.Values("Sec-WebSocket-Extensions"); len(got) > 0 {
			t.Errorf("%s: the agent was told %q", url, got)
		}
	}
	seen := append(b.plain.Requests(), b.secure.Requests()...)
	if len(seen) != 2 {
		t.Fatalf("the upstreams saw %d handshakes", len(seen))
	}
	for _, r := range seen {
		if got := r.Header.Values("Sec-WebSocket-Extensions"); len(got) > 0 {
			t.Errorf("the upstream was offered %q", got)
		}
	}
}

// An upstream that compresses all the same, and one that switches to another
// protocol, are not carried.
func TestUpgradeNotAskedFor(t *testing.T) {
	for _, field := range []string{
		"Upgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate",
		"Upgrade: h2c",
	} {
		t.Run(field, func(t *testing.T) {
			b := start(t, options{policy: anything})
			go b.answerOnce("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" + field + "\r\n\r\n")
			conn := b.dial()
			_, err := fmt.Fprintf(conn, "GET http://plain.test:%[1]d/ HTTP/1.1\r\nHost: plain.test:%[1]d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", b.rawPort())
			must(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != http.StatusBadGateway || resp.Header.Get("X-Signet-Reason") != "UPSTREAM_FAILED" {
				t.Errorf("%s %v", resp.Status, resp.Header)
			}
		})
	}
}

// Nothing of a request is left to read when its connection is given away.
func TestUpgradeWithContent(t *testing.T) {
	for _, field := range []string{"Content-Length: 5", "Transfer-Encoding: chunked"} {
		t.Run(field, func(t *testing.T) {
			b := start(t, options{policy: anything})
			conn := b.dial()
			_, err := fmt.Fprintf(conn, "GET http://plain.test:%[1]d/ HTTP/1.1\r\nHost: plain.test:%[1]d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%[2]s\r\n\r\n", b.rawPort(), field)
			must(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("X-Signet-Reason") != "HEL_TARGET_MALFORMED" {
				t.Errorf("%s %v", resp.Status, resp.Header)
			}
		})
	}
}

// answerOnce plays an upstream that answers one request, whatever it is, and
// waits for the connection's end.
func (b *bench) answerOnce(answer string) {
	c, err := b.raw.Accept()
	if err != nil {
		b.t.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	if _, err := http.ReadRequest(r); err != nil {
		b.t.Error(err)
		return
	}
	_, _ = io.WriteString(c, answer)
	_, _ = io.Copy(io.Discard, r)
}

// A head that cannot be read is denied inside a tunnel as it is outside: in the
// same form, with a receipt.
func TestUnreadableHeads(t *testing.T) {
	const host = "Host: HOST\r\n"
	for name, head := range map[string]string{
		"syntax":      "GET / HTTP/1.1\r\n" + host + "bad name: x\r\n\r\n",
		"no host":     "GET / HTTP/1.1\r\n\r\n",
		"expectation": "GET / HTTP/1.1\r\n" + host + "Expect: magic\r\n\r\n",
	} {
		for _, mode := range []string{"plain", "intercepted"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				b := start(t, options{policy: anything})
				conn, _, authority := b.http1(mode)
				_, err := io.WriteString(conn, strings.ReplaceAll(head, "HOST", authority))
				must(t, err)
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				must(t, err)
				must(t, resp.Body.Close())
				if resp.Header.Get("X-Signet-Reason") != "HEL_TARGET_MALFORMED" || !resp.Close {
					t.Errorf("%s %v", resp.Status, resp.Header)
				}
				_ = conn.Close() // an error tells that Signet was faster
				if r := b.receipts()[0]; r.ReceiptID != resp.Header.Get("X-Signet-Receipt") || r.Policy.Reason != "HEL_TARGET_MALFORMED" {
					t.Errorf("receipt %s %+v", r.ReceiptID, r.Policy)
				}
			})
		}
	}
}
