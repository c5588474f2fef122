package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/signet-egress/signet/receipts"
)

// connect opens a tunnel to a mode's host, which must be allowed.
func (c *sidecar) connect(t *testing.T, m mode) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", c.addr)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // the other side may have
	authority := strings.TrimPrefix(m.url(c.site, ""), "https://")
	_, err = io.WriteString(conn, "CONNECT "+authority+" HTTP/1.1\r\nHost: "+authority+"\r\n\r\n")
	must(t, err)
	const established = "HTTP/1.1 200 Connection established\r\n\r\n"
	got := make([]byte, len(established))
	_, err = io.ReadFull(conn, got)
	must(t, err)
	if string(got) != established {
		t.Fatalf("CONNECT %s: %q", authority, got)
	}
	return conn
}

// inside opens a tunnel and the TLS session in it.
func (c *sidecar) inside(t *testing.T, m mode, alpn ...string) (*tls.Conn, error) {
	t.Helper()
	conn := tls.Client(c.connect(t, m), &tls.Config{
		ServerName: m.host, RootCAs: roots(t, m.roots(c)), NextProtos: alpn, MinVersion: tls.VersionTLS12,
	})
	return conn, conn.HandshakeContext(t.Context())
}

// clientHello is the first flight of a client that names sni.
func clientHello(sni string) []byte {
	flight := &firstFlight{}
	_ = tls.Client(flight, &tls.Config{ServerName: sni, MinVersion: tls.VersionTLS12}).HandshakeContext(context.Background())
	return flight.sent.Bytes()
}

// firstFlight is a connection that keeps what is sent and answers nothing.
type firstFlight struct {
	net.Conn
	sent bytes.Buffer
}

func (f *firstFlight) Write(b []byte) (int, error) { return f.sent.Write(b) }
func (*firstFlight) Read([]byte) (int, error)      { return 0, io.EOF }
func (*firstFlight) Close() error                  { return nil }

// A tunnel begins with a ClientHello for the host that it was opened for, or it
// ends with an alert before a byte of it has reached the upstream (30, 32).
func TestHostileTunnels(t *testing.T) {
	large := append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff}, make([]byte, 20<<10)...)
	for _, c := range []struct {
		name, reason string
		first        []byte
	}{
		{"the SNI of another host", "HEL_SNI_MISMATCH", clientHello("evil.test")},
		{"the SNI of another allowed host", "HEL_SNI_MISMATCH", clientHello("plain.test")},
		{"the SNI of the parent", "HEL_SNI_MISMATCH", clientHello("test")},
		{"no SNI", "HEL_SNI_MISMATCH", clientHello("127.0.0.1")},
		{"SSH", "HEL_NOT_TLS", []byte("SSH-2.0-OpenSSH_9.9\r\n")},
		{"SMTP", "HEL_NOT_TLS", []byte("EHLO evil.test\r\n")},
		{"HTTP", "HEL_NOT_TLS", []byte("GET / HTTP/1.1\r\nHost: opaque.test\r\n\r\n")},
		{"h2 without TLS", "HEL_NOT_TLS", []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
		{"another TLS record", "HEL_NOT_TLS", []byte{23, 3, 3, 0, 5, 1, 2, 3, 4, 5}},
		{"another TLS message", "HEL_NOT_TLS", []byte{22, 3, 1, 0, 5, 2, 0, 0, 1, 0}},
		{"SSLv2", "HEL_NOT_TLS", []byte{0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10}},
		{"a hello too long", "HEL_NOT_TLS", large},
	} {
		for _, m := range []mode{opaqueH1, interceptedH1} {
			t.Run(c.name+" "+m.name, func(t *testing.T) {
				s := newSite(t, options{})
				car := s.start()
				conn := car.connect(t, m)
				_, err := conn.Write(c.first)
				must(t, err)
				alert := make([]byte, 7)
				_, err = io.ReadFull(conn, alert)
				must(t, err)
				if !bytes.Equal(alert, []byte{21, 3, 1, 0, 2, 2, 49}) { // fatal, access_denied
					t.Errorf("answered % x", alert)
				}
				r := car.only()
				if r.Outcome != receipts.Denied || r.Policy.Reason != c.reason {
					t.Errorf("%s %+v", r.Outcome, r.Policy)
				}
				if n := m.upstream(s).SNI("evil.test") + int(m.upstream(s).RequestCount()); n != 0 {
					t.Error("the upstream has seen something of it")
				}
			})
		}
	}
}

// Only what the upstream took and Signet can read is offered to the agent (33).
func TestUnknownALPN(t *testing.T) {
	s := newSite(t, options{})
	car := s.start()
	for _, tokens := range [][]string{{"spdy/3"}, {"h3"}, {"http/1.0"}, {"h2c"}, {"\x00\r\n", "evil"}} {
		if _, err := car.inside(t, interceptedH2, tokens...); err == nil {
			t.Errorf("a handshake that offers only %q was taken", tokens)
		}
	}
	for _, tokens := range [][]string{nil, {"spdy/3", "http/1.1"}} {
		conn, err := car.inside(t, interceptedH2, tokens...)
		must(t, err)
		if got := conn.ConnectionState().NegotiatedProtocol; got != "" && got != "http/1.1" {
			t.Errorf("of %q it took %q", tokens, got)
		}
		must(t, conn.Close())
	}
	car.stop()
	if n := s.secure.RequestCount(); n != 0 {
		t.Errorf("the upstream saw %d requests", n)
	}
}

// What is asked inside an intercepted tunnel is decided again, and by the path
// under every reading of it (11, 30, 34, 36).
func TestHostileInnerRequests(t *testing.T) {
	s := newSite(t, options{rules: `
rules:
  - {name: intercepted, hosts: [api.test, old-api.test], ports: [PORTS], paths: [/small/**, /headers], intercept: true}
`})
	car := s.start()
	at := strings.TrimPrefix(interceptedH1.url(s, ""), "https://")
	const path, misdirected = "HEL_PATH_NOT_ALLOWED", "HEL_AUTHORITY_MISMATCH"
	requests := 0
	for _, c := range []struct {
		line, host, more string
		status           int
		reason           string
	}{
		{line: "GET /small/..%2fecho", status: 403, reason: path},
		{line: "GET /small/..%5cecho", status: 403, reason: path},
		{line: "GET /small/../echo", status: 403, reason: path},
		{line: "GET /small/%2e%2e/echo", status: 403, reason: path},
		{line: "GET /small/%252e%252e/echo", status: 403, reason: path},
		{line: "GET /small/..;/echo", status: 403, reason: path},
		{line: "GET /small;/../echo", status: 403, reason: path},
		{line: "GET //small/x", status: 403, reason: path},
		{line: "GET /small//../../echo", status: 403, reason: path},
		{line: "GET /small/%2f..%2f..%2fecho", status: 403, reason: path},
		{line: "GET /small/%c0%ae%c0%ae/echo", status: 403, reason: path},
		{line: "GET /small/%00", status: 403, reason: path},
		{line: "GET /%73mall%2f..", status: 403, reason: path},
		{line: "GET /SMALL/x", status: 403, reason: path},
		{line: "GET /smallx", status: 403, reason: path},
		{line: "GET /echo?/small/x", status: 403, reason: path},
		{line: "GET /small/%zz", status: 400, reason: malformedTarget},
		{line: `GET /small\..\echo`, status: 400, reason: malformedTarget},
		{line: "GET /small/x#/../echo", status: 400, reason: malformedTarget},
		{line: "GET http://" + at + "/small/x", status: 400, reason: malformedTarget},
		{line: "GET https://evil.test/small/x", status: 400, reason: malformedTarget},
		{line: "CONNECT evil.test:443", status: 400, reason: malformedTarget},
		{line: "OPTIONS *", status: 400, reason: malformedTarget},
		{line: "TRACE /small/x", status: 403, reason: "HEL_METHOD_NOT_ALLOWED"},
		{line: "GET /small/x", host: "evil.test", status: 421, reason: misdirected},
		{line: "GET /small/x", host: "api.test", status: 421, reason: misdirected},
		{line: "GET /small/x", host: "old-api.test", status: 421, reason: misdirected}, // port 443
		{line: "GET /small/x", host: "old-api.test:0" + strings.Split(at, ":")[1], status: 421, reason: misdirected},
		{line: "GET /small/x", host: "user@" + at, status: 400, reason: malformedTarget},
		{line: "GET /small/x", more: "Host: evil.test\r\n", status: 400, reason: malformedTarget},
		{line: "GET /small/x", more: "Connection: Host\r\n", status: 400, reason: malformedTarget},
		{
			line: "GET /small/x", status: 403, reason: "HEL_SCHEME_NOT_ALLOWED",
			more: "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
		},
		{line: "GET /small/a%20b", status: 200},
		{line: "GET /%73mall/x", status: 200},
		{line: "GET /small/x?/../echo", status: 200},
		{line: "GET /small/x", host: strings.ToUpper(at), status: 200},
		{line: "GET /headers", more: "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", status: 200},
	} {
		conn, err := car.inside(t, interceptedH1, "http/1.1")
		must(t, err)
		host := c.host
		if host == "" {
			host = at
		}
		_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", c.line, host, c.more)
		must(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != c.status || resp.Header.Get("X-Signet-Reason") != c.reason || resp.Header.Get("X-Signet-Receipt") == "" {
			t.Errorf("%s, Host %s %s: %s %v, want %d %s", c.line, host, c.more, resp.Status, resp.Header, c.status, c.reason)
		}
		if c.status == http.StatusOK {
			requests++
		}
		_ = conn.Close() // Signet may have
	}
	car.stop()
	if n := int(s.old.RequestCount()); n != requests {
		t.Errorf("the upstream saw %d requests, want %d", n, requests)
	}
}

// Over h2 too, each request names the tunnel's host, and only that.
func TestHostileInnerH2(t *testing.T) {
	s := newSite(t, options{})
	car := s.start()
	at := strings.TrimPrefix(interceptedH2.url(s, ""), "https://")
	conn, err := car.inside(t, interceptedH2, "h2")
	must(t, err)
	_, err = io.WriteString(conn, http2.ClientPreface)
	must(t, err)
	frames := http2.NewFramer(conn, conn)
	frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	must(t, frames.WriteSettings())
	stream := uint32(1)
	for _, c := range []struct {
		fields         [][2]string
		status, reason string
	}{
		{[][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", "/small"}, {":authority", "evil.test"}}, "421", "HEL_AUTHORITY_MISMATCH"},
		{[][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", "/small"}, {":authority", "old-api.test"}}, "421", "HEL_AUTHORITY_MISMATCH"},
		{[][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", "/small"}, {":authority", at}, {"host", "evil.test"}}, "421", "HEL_AUTHORITY_MISMATCH"},
		{[][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", "/small"}}, "421", "HEL_AUTHORITY_MISMATCH"},
		{[][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", "/small"}, {":authority", at}, {"expect", "magic"}}, "417", malformedTarget},
		{[][2]string{{":method", "CONNECT"}, {":authority", "evil.test:443"}}, "400", malformedTarget},
		{[][2]string{{":method", "GET /echo"}, {":scheme", "https"}, {":path", "/small"}, {":authority", at}}, "400", malformedTarget},
		{[][2]string{{":method", "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\nGET"}, {":scheme", "https"}, {":path", "/small"}, {":authority", at}}, "reset", "PROTOCOL_ERROR"},
		{[][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", "/small"}, {":authority", at}}, "200", ""},
	} {
		status, reason := askH2(t, frames, stream, c.fields)
		if status != c.status || reason != c.reason {
			t.Errorf("%v: %s %s, want %s %s", c.fields, status, reason, c.status, c.reason)
		}
		stream += 2
	}
	must(t, conn.Close())
	car.stop()
	if n := s.secure.RequestCount(); n != 1 {
		t.Errorf("the upstream saw %d requests", n)
	}
}

// askH2 sends one request and returns the status and the reason of its answer.
func askH2(t *testing.T, frames *http2.Framer, stream uint32, fields [][2]string) (status, reason string) {
	t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		must(t, encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	must(t, frames.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true,
	}))
	for {
		frame, err := frames.ReadFrame()
		must(t, err)
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID != stream {
				continue
			}
			for _, field := range f.Fields {
				switch field.Name {
				case ":status":
					status = field.Value
				case "x-signet-reason":
					reason = field.Value
				}
			}
			return status, reason
		case *http2.RSTStreamFrame:
			return "reset", f.ErrCode.String()
		case *http2.GoAwayFrame:
			t.Fatalf("GOAWAY %v %s", f.ErrCode, f.DebugData())
		}
	}
}
