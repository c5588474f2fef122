package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/resolver"
)

// BenchmarkExchange is the pipeline alone: both ends are in memory and the journal
// is none.
func BenchmarkExchange(b *testing.B) {
	for name, bench := range map[string]struct {
		log    slog.Handler
		method string
		body   string
	}{
		"GET":       {log: slog.DiscardHandler, method: http.MethodGet},
		"POST":      {log: slog.DiscardHandler, method: http.MethodPost, body: strings.Repeat("x", 1000)},
		"log lines": {log: slog.NewJSONHandler(writerOnly{io.Discard}, nil), method: http.MethodGet},
	} {
		b.Run(name, func(b *testing.B) {
			p := newMemoryProxy(b, bench.log)
			defer p.end()
			answer := answerWriter{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				r := httptest.NewRequestWithContext(b.Context(), bench.method, "http://up.example/v1/answer?n=1", strings.NewReader(bench.body))
				r.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {"agent/1.0"}, "Authorization": {"Bearer x"}}
				clear(answer.header)
				b.StartTimer()
				p.ServeHTTP(&answer, r)
			}
			if answer.status != http.StatusOK {
				b.Fatalf("status %d", answer.status)
			}
		})
	}
}

// BenchmarkServed is the same with the agent's end of it: a kept-alive connection
// over loopback, and the server that reads it.
func BenchmarkServed(b *testing.B) {
	p := newMemoryProxy(b, slog.DiscardHandler)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := NewServer(p)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	request := []byte("GET http://up.example/v1/answer?n=1 HTTP/1.1\r\nHost: up.example\r\nUser-Agent: agent/1.0\r\n" +
		"Accept: application/json\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer " + strings.Repeat("x", 160) + "\r\n\r\n")
	answer := bufio.NewReader(c)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(answer, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(resp, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
	}
	_ = c.Close()
	if err := server.Shutdown(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := <-served; err != nil {
		b.Fatal(err)
	}
}

func newMemoryProxy(b *testing.B, log slog.Handler) *Proxy {
	b.Helper()
	rules := "version: 1\nrules: [{name: up, hosts: [up.example], ports: [80], schemes: [http]}]\n"
	compiled, err := policy.Compile([]policy.File{{Path: "policy.yaml", Data: []byte(rules)}})
	if err != nil {
		b.Fatal(err)
	}
	snapshot := &Snapshot{Policy: compiled, Guard: resolver.NewGuard(nil, nil, nil)}
	p, err := New(Config{
		Tenant: "acme", Agent: "bench", Via: "signet-bench", Snapshot: func() *Snapshot { return snapshot },
		Journal: noJournal{}, Pins: onePin{}, Upstream: &memory{}, Minter: noMinter{}, Logger: slog.New(log),
	})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

type noJournal struct{}

func (noJournal) Begin(*receipts.Receipt, string) error { return nil }
func (noJournal) Finish(*receipts.Receipt) Commit       { return noJournal{} }
func (noJournal) Err() error                            { return nil }
func (noJournal) Wait() error                           { return nil }

type onePin struct{}

var pinned = &resolver.Pin{Host: "up.example", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Resolver: "udp://192.0.2.53:53", TTL: time.Minute}

func (onePin) Pin(context.Context, string, uint16, *resolver.Guard) (*resolver.Pin, error) {
	return pinned, nil
}

type noMinter struct{}

func (noMinter) ServerConfig(context.Context, string, []string) (*tls.Config, error) {
	return nil, x509.ErrUnsupportedAlgorithm
}

// memory answers every request with the same 200 bytes.
type memory struct{ Upstream }

var answerBody = strings.Repeat("x", 200)

func (*memory) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
	}
	r.Context().Value(routeKey{}).(*Route).Conn.Remote = netip.AddrPortFrom(pinned.Addrs[0], 80)
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(answerBody)),
		Header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {"200"}, "Date": {"Thu, 01 Jan 1970 00:00:00 GMT"}},
		Body:   io.NopCloser(strings.NewReader(answerBody)), Request: r,
	}, nil
}

// answerWriter is an agent that takes all and keeps nothing.
type answerWriter struct {
	header http.Header
	status int
}

func (w *answerWriter) Header() http.Header           { return w.header }
func (w *answerWriter) WriteHeader(status int)        { w.status = status }
func (*answerWriter) Write(b []byte) (int, error)     { return len(b), nil }
func (*answerWriter) Flush()                          {}
func (*answerWriter) EnableFullDuplex() error         { return nil }
func (*answerWriter) SetReadDeadline(time.Time) error { return nil }

// BenchmarkReadHello is what an opaque tunnel costs before its first byte moves.
func BenchmarkReadHello(b *testing.B) {
	sent := new(helloConn)
	_ = tls.Client(sent, &tls.Config{ServerName: "up.example", MinVersion: tls.VersionTLS12}).HandshakeContext(b.Context())
	record := sent.written.Bytes()
	b.ReportAllocs()
	for b.Loop() {
		h, err := readHello(b.Context(), &helloConn{read: bytes.NewReader(record)}, time.Minute)
		if err != nil || h.sni != "up.example" {
			b.Fatal(h.sni, err)
		}
	}
}

// helloConn has a fixed thing to read, and keeps what is written.
type helloConn struct {
	net.Conn
	read    *bytes.Reader
	written bytes.Buffer
}

func (c *helloConn) Read(p []byte) (int, error) {
	if c.read == nil {
		return 0, io.EOF
	}
	return c.read.Read(p)
}
func (c *helloConn) Write(p []byte) (int, error)   { return c.written.Write(p) }
func (*helloConn) Close() error                    { return nil }
func (*helloConn) SetReadDeadline(time.Time) error { return nil }

// BenchmarkDigest is the price of a body for each byte.
func BenchmarkDigest(b *testing.B) {
	body := make([]byte, 1<<20)
	buffer := make([]byte, bufferSize)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		d := newDigest(io.NopCloser(bytes.NewReader(body)), 0, func(int) {})
		if _, err := io.CopyBuffer(writerOnly{io.Discard}, d, buffer); err != nil {
			b.Fatal(err)
		}
		d.freeze()
	}
}

// writerOnly hides what io.Discard is from those who would skip the work for it.
type writerOnly struct{ io.Writer }
