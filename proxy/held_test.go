package proxy_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/proxy"
	"github.com/signet-egress/signet/receipts"
)

const anything = `
rules:
  - {name: secure, hosts: [up.test], ports: [PORT], intercept: true, schemes: [https, wss]}
  - {name: opaque, hosts: [other.test], ports: [PORT]}
  - {name: plain, hosts: [plain.test], ports: [PORT], schemes: [http, ws]}
`

// quiet is how long a byte that must not come is waited for. A busy machine can
// only make the check weaker, never fail.
const quiet = 30 * time.Millisecond

// The held end, HTTP/1.1 on the wire: what arrives while the receipt is held is
// everything before it, and nothing of it.
func TestHeldEndHTTP1(t *testing.T) {
	for _, c := range []struct {
		name, method, path, version string
		before                      string // ends what arrives early; "" nothing arrives
		after                       string // ends what arrives late; all of it, where something arrived early
	}{
		{"length", "GET", "/bytes?n=5", "1.1", "", "\r\n\r\n\x00\x01\x02\x03\x04"},
		{"length, in two parts", "GET", "/bytes?n=5&gate=g", "1.1", "\r\n\r\n\x00\x01\x02\x03", "\x04"},
		{"chunked", "GET", "/chunks?n=5", "1.1", "5\r\n\x00\x01\x02\x03\x04\r\n", "0\r\n\r\n"},
		{"no length, HTTP/1.0", "GET", "/chunks?n=5", "1.0", "\r\n\r\n\x00\x01\x02\x03", "\x04"},
		{"empty", "GET", "/empty", "1.1", "", "\r\n\r\n"},
		{"HEAD", "HEAD", "/head", "1.1", "", "\r\n\r\n"},
		{"204", "GET", "/status/204", "1.1", "", "\r\n\r\n"},
		{"304", "GET", "/status/304", "1.1", "", "\r\n\r\n"},
	} {
		for _, mode := range []string{"plain", "intercepted"} {
			t.Run(c.name+" "+mode, func(t *testing.T) {
				b := start(t, options{policy: anything})
				conn, base, host := b.http1(mode)
				release := b.journal.hold()
				defer release()
				_, err := fmt.Fprintf(conn, "%s %s HTTP/%s\r\nHost: %s\r\nConnection: close\r\n\r\n", c.method, base+c.path, c.version, host)
				must(t, err)
				if c.before != "" {
					readUntil(t, conn, c.before)
				}
				b.plain.Gate("g").Open()
				b.secure.Gate("g").Open()
				b.journal.waiting()
				mustBeQuiet(t, conn)
				release()
				rest, err := io.ReadAll(conn)
				must(t, err)
				if got := string(rest); !strings.HasSuffix(got, c.after) || c.before != "" && got != c.after {
					t.Errorf("after the receipt came %q, want %q", got, c.after)
				}
			})
		}
	}
}

// http1 is a connection that speaks HTTP/1.1 to an upstream in that mode, with
// what a request target starts with there.
func (b *bench) http1(mode string) (conn net.Conn, base, host string) {
	b.t.Helper()
	if mode == "plain" {
		host = b.plain.URL("plain.test", "")[len("http://"):]
		return b.dial(), "http://" + host, host
	}
	host = b.secure.URL("up.test", "")[len("https://"):]
	c := tls.Client(b.connect(host), &tls.Config{ServerName: "up.test", RootCAs: b.root, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12})
	must(b.t, c.HandshakeContext(b.t.Context()))
	return c, "", host
}

func readUntil(t *testing.T, r io.Reader, suffix string) string {
	t.Helper()
	var got []byte
	one := make([]byte, 1)
	for !strings.HasSuffix(string(got), suffix) {
		if _, err := io.ReadFull(r, one); err != nil {
			t.Fatalf("after %q, waiting for %q: %v", got, suffix, err)
		}
		got = append(got, one[0])
	}
	return string(got)
}

func mustBeQuiet(t *testing.T, c net.Conn) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(quiet)))
	n, err := c.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v, while the receipt is held", n, err)
	}
	must(t, c.SetReadDeadline(time.Time{}))
}

func TestHeldEndHTTP2(t *testing.T) {
	for _, c := range []struct {
		name, method, path string
		early              int // body bytes that arrive before the receipt; -1 not even the header
		late               int
	}{
		{"length", "GET", "/bytes?n=5000", 4999, 1},
		{"length, few at once", "GET", "/bytes?n=5", -1, 5},
		{"no length", "GET", "/chunks?n=5", 5, 0},
		{"empty", "GET", "/empty", -1, 0},
		{"HEAD", "HEAD", "/head", -1, 0},
		{"204", "GET", "/status/204", -1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, options{policy: anything})
			release := b.journal.hold()
			defer release()
			req, err := http.NewRequestWithContext(t.Context(), c.method, b.secure.URL("up.test", c.path), nil)
			must(t, err)
			answered := make(chan *http.Response, 1)
			go func() {
				resp, err := b.client(true).Do(req)
				if err != nil {
					t.Error(err)
				}
				answered <- resp
			}()
			if c.early < 0 {
				b.journal.waiting()
				select {
				case <-answered:
					t.Fatal("the header came before the receipt")
				case <-time.After(quiet):
				}
				release()
			}
			resp := <-answered
			if resp == nil {
				return
			}
			defer func() { must(t, resp.Body.Close()) }()
			if resp.ProtoMajor != 2 {
				t.Fatalf("answered over %s", resp.Proto)
			}
			if c.early >= 0 {
				_, err = io.ReadFull(resp.Body, make([]byte, c.early))
				must(t, err)
				b.journal.waiting()
			}
			ended := make(chan int, 1)
			go func() {
				rest, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Error(err)
				}
				ended <- len(rest)
			}()
			if c.early >= 0 {
				select {
				case <-ended:
					t.Fatal("the end came before the receipt")
				case <-time.After(quiet):
				}
				release()
			}
			if n := <-ended; n != c.late {
				t.Errorf("%d bytes after the receipt, want %d", n, c.late)
			}
		})
	}
}

// A tunnel's close waits: the agent has closed its side, the upstream its own,
// and still the agent does not see the end.
func TestHeldEndTunnel(t *testing.T) {
	b := start(t, options{policy: anything, timeouts: proxy.Timeouts{HalfClose: time.Hour}})
	host := b.secure.URL("other.test", "")[len("https://"):]
	raw := b.connect(host)
	c := tls.Client(raw, &tls.Config{ServerName: "other.test", RootCAs: b.root, MinVersion: tls.VersionTLS12})
	must(t, c.HandshakeContext(t.Context()))
	release := b.journal.hold()
	defer release()
	_, err := fmt.Fprintf(c, "GET /bytes?n=5 HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
	must(t, err)
	readUntil(t, c, "\x00\x01\x02\x03\x04") // the answer is not held
	must(t, raw.(*net.TCPConn).CloseWrite())
	b.journal.waiting()
	for { // what the upstream still sent, its close_notify, then silence
		must(t, raw.SetReadDeadline(time.Now().Add(quiet)))
		if _, err = raw.Read(make([]byte, 512)); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the close came before the receipt: %v", err)
	}
	must(t, raw.SetReadDeadline(time.Time{}))
	release()
	if _, err := raw.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the receipt: %v, want the close", err)
	}
}

// Without a durable receipt the agent must not take an answer for whole.
func TestNoReceiptCutsTheAnswer(t *testing.T) {
	for _, path := range []string{"/bytes?n=100000", "/chunks?n=100000"} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s h2=%v", path, h2), func(t *testing.T) {
				b := start(t, options{policy: anything})
				b.journal.fail()
				resp, err := b.client(h2).Get(b.secure.URL("up.test", path))
				must(t, err)
				defer func() { must(t, resp.Body.Close()) }()
				if n, err := io.Copy(io.Discard, resp.Body); err == nil {
					t.Errorf("read %d bytes to a clean end", n)
				}
			})
		}
	}
	for _, path := range []string{"/empty", "/bytes?n=5"} { // nothing is sent yet
		t.Run(path, func(t *testing.T) {
			b := start(t, options{policy: anything})
			b.journal.fail()
			resp, err := b.client(false).Get(b.plain.URL("plain.test", path))
			must(t, err)
			defer func() { must(t, resp.Body.Close()) }()
			if got := resp.Header.Get("X-Signet-Reason"); resp.StatusCode != http.StatusServiceUnavailable || got != "JOURNAL_UNAVAILABLE" {
				t.Errorf("%s, %q", resp.Status, got)
			}
		})
	}
}

// A receipt that the journal refuses leaves a bare one behind, and no open intent;
// the agent does not get the answer.
func TestRefusedReceipt(t *testing.T) {
	b := start(t, options{policy: anything})
	b.journal.spoil = func(r *receipts.Receipt) { r.Detail.Request.Port = 0 }
	resp, err := b.client(false).Get(b.plain.URL("plain.test", "/bytes?n=100"))
	must(t, err)
	if got := resp.Header.Get("X-Signet-Reason"); resp.StatusCode != http.StatusInternalServerError || got != "INTERNAL" {
		t.Errorf("%s, %q", resp.Status, got)
	}
	must(t, resp.Body.Close())
	if n := b.journal.OpenIntents(); n != 0 {
		t.Errorf("%d intents open", n)
	}
	if r := b.only(); r.Outcome != receipts.Failed || r.Policy.Reason != "INTERNAL" || r.Detail.Request != nil {
		t.Errorf("%s %+v", r.Outcome, r.Policy)
	}
}
