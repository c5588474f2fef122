package framing

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// FuzzDifferential holds what is let through against net/http's server, the
// parser that gets it: it must see the same requests, each with the same content,
// and never have anything to refuse itself.
func FuzzDifferential(f *testing.F) {
	f.Fuzz(func(t *testing.T, input []byte, size uint16) { sameRequests(t, string(input), 1+int(size)) })
}

// The same, of input that is nearly right, so that much of it is let through.
func TestDifferential(t *testing.T) {
	lines := rapid.SampledFrom([]string{
		"GET http://a.test/ HTTP/1.1", "POST http://a.test:80/?a#b HTTP/1.1", "PUT http://A.test HTTP/1.0", "HEAD /%41;x//.. HTTP/1.1", "POST * HTTP/1.1",
		"GET http://a.test?q HTTP/1.1", "GET http:a.test HTTP/1.1", "GET HTTP://a.test/ HTTP/1.1", "GET http://[::1%25x]/ HTTP/1.1", "GET http://a%41/ HTTP/1.1",
		"GET x://a.test:1:2/ HTTP/1.1", "GET http://a.test:/ HTTP/1.1", "GET http:///a HTTP/1.1", "GET /%4 HTTP/1.1", "GET http://u:p@a.test/\\ HTTP/1.1", "GET a.test HTTP/1.1",
		"CONNECT /a HTTP/1.1", "DELETE http://a.test/\xff HTTP/1.1", "CONNECT a.test:x HTTP/1.1", "PATCH ? HTTP/1.1", "GET :80 HTTP/1.1",
	})
	hosts := rapid.SampledFrom([]string{"a.test", "a.test", "a.test", "A.TEST:80", "", "[::1]", "a/b", "\xff", "a b", "a,b"})
	odd := rapid.SampledFrom([]string{
		"Connection: keep-alive", "Connection: upgrade", "Upgrade: websocket", "Upgrade: h2c", "Expect: 100-continue", "Expect:", "A:\xff", "a-b_c: x:y", "A: \t",
		"Pragma: no-cache", "Trailer: A", "Trailer: ,, B,", "Trailer: a, content-length", "Content-Length: 1", "A : b", " A: b", "A: b\x01", "A", "Host: a.test", "",
	})
	lengths := rapid.SampledFrom([]string{ // with the end of the head, and content
		"\r\n", "Content-Length: 0\r\n\r\n", "Content-Length: 5\r\n\r\nhello", "content-length:\t1 \r\n\r\na", "Content-Length: +1\r\n\r\na", "Content-Length: 0x1\r\n\r\na",
		"Content-Length: 1,1\r\n\r\na", "Content-Length: 9223372036854775807\r\n\r\n", "Content-Length: 9223372036854775808\r\n\r\n", "Content-Length:\r\n\r\n", "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: identity\r\n\r\n", "Transfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding:\r\n\r\n", "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
	})
	sizes := rapid.SampledFrom([]string{
		"5", "005", "5;a=b", "5;\"", "5 ", "5\t;a", " 5", "0x5", "+5", "5;\x01", "5;\r", "6", "4", "", ";", "7fffffffffffffff", "8000000000000005", "00000000000000005", "5;" + strings.Repeat("e", 4090), "5;" + strings.Repeat("e", 4092), "5;" + strings.Repeat("e", 4094),
	})
	trailers := rapid.SampledFrom([]string{
		"", "A: b\r\n", "A:\r\nb: \xff\r\n", " A: b\r\n", "A: b\r\n c\r\n", "A : b\r\n", ":\r\n", "A\r\n", "A: b\n", "A: " + strings.Repeat("b", 4089) + "\r\n", "A: " + strings.Repeat("b", 4090) + "\r\n", "A: b\x00\r\n",
	})
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for range rapid.IntRange(1, 4).Draw(t, "requests") {
			b.WriteString(lines.Draw(t, "line") + "\r\n")
			b.WriteString("Host: " + hosts.Draw(t, "host") + "\r\n")
			if rapid.IntRange(0, 2).Draw(t, "with an odd field") == 0 {
				b.WriteString(odd.Draw(t, "field") + "\r\n")
			}
			if rapid.Bool().Draw(t, "length") {
				b.WriteString(lengths.Draw(t, "length"))
				continue
			}
			b.WriteString("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
			if rapid.Bool().Draw(t, "an odd chunk") {
				b.WriteString(sizes.Draw(t, "size") + "\r\nhello\r\n")
			}
			b.WriteString("0\r\n" + trailers.Draw(t, "trailers") + "\r\n")
		}
		sameRequests(t, b.String(), rapid.IntRange(1, 200).Draw(t, "size"))
	})
}

func sameRequests(t fataler, input string, size int) {
	var q Requests
	passed, _ := pass(&q, input, size)
	if whole, _ := pass(new(Requests), input, max(1, len(input))); whole != passed {
		t.Fatalf("in pieces of %d: %q, at once: %q", size, passed, whole)
	}
	want := read(t, passed)
	got, answers := serve(passed)
	answers = strings.ReplaceAll(answers, "HTTP/1.1 100 Continue\r\n\r\n", "")
	if strings.Count(answers, "HTTP/1.1 ") != strings.Count(answers, "HTTP/1.1 299 ") {
		t.Fatalf("the server refused by itself: %q of %q", answers, passed)
	}
	// A server may stop at a request that says so, or whose content is cut off.
	if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) || len(got) < len(want) && !mayBeLast(passed, got) {
		t.Fatalf("the server saw\n%q, not\n%q in\n%q", got, want, passed)
	}
}

type fataler interface {
	Fatalf(format string, args ...any)
}

// mayBeLast reports whether a server may end the connection behind what it has seen.
func mayBeLast(passed string, got []string) bool {
	return len(got) > 0 && (strings.HasSuffix(got[len(got)-1], " cut") || strings.Contains(strings.ToLower(passed), "close") || strings.Contains(passed, "HTTP/1.0"))
}

// read cuts into requests as this package understands them.
func read(t fataler, passed string) (requests []string) {
	var q Requests
	b := []byte(passed)
	for len(b) > 0 && q.state != opaque && q.state != upgrading {
		if q.state != atHead {
			t.Fatalf("state %d between requests", q.state)
		}
		n, err := q.part(b)
		if n == 0 || err != nil {
			t.Fatalf("half a head was let through: %q, %v", b, err)
		}
		head := b[:n]
		b = b[n:]
		var content []byte
		for q.state != atHead && q.state != opaque && q.state != upgrading && len(b) > 0 {
			data := q.state == inContent || q.state == inChunk
			n, err := q.part(b)
			if n == 0 || err != nil {
				b = nil // cut off, or refused
				break
			}
			if data {
				content = append(content, b[:n]...)
			}
			b = b[n:]
		}
		whole := q.state == atHead || q.state == opaque || q.state == upgrading
		requests = append(requests, describeHead(head)+describeContent(content, whole))
	}
	return requests
}

// describeHead tells the request line and the fields that net/http keeps.
func describeHead(head []byte) string {
	lines := strings.Split(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n")
	header := make(http.Header)
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		header.Add(name, strings.Trim(value, " \t"))
	}
	return describe(lines[0], header)
}

func describe(line string, header http.Header) string {
	for _, name := range []string{"Host", "Transfer-Encoding", "Trailer", "Cache-Control"} { // net/http moves or adds these
		header.Del(name)
	}
	return fmt.Sprintf("%s %q", line, header)
}

func describeContent(content []byte, whole bool) string {
	if !whole {
		return " cut"
	}
	return fmt.Sprintf(" %q", content)
}

// serve has net/http read the bytes, and answer each request with 299.
func serve(passed string) (requests []string, answers string) {
	conn := &memoryConn{in: bufio.NewReader(strings.NewReader(passed)), closed: make(chan struct{})}
	l := &oneConn{conn: conn}
	server := &http.Server{
		MaxHeaderBytes:               MaxRequestLine + MaxHeaderBlock,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			content, err := io.ReadAll(r.Body)
			line := r.Method + " " + r.RequestURI + " " + r.Proto
			requests = append(requests, describe(line, r.Header)+describeContent(content, err == nil))
			if r.Method == http.MethodConnect {
				w.Header().Set("Connection", "close") // what follows is no longer HTTP/1
			}
			w.WriteHeader(299)
		}),
	}
	_ = server.Serve(l)
	<-conn.closed
	return requests, conn.out.String()
}

// memoryConn gives what it has and takes all.
type memoryConn struct {
	net.Conn
	in     *bufio.Reader
	out    bytes.Buffer
	once   sync.Once
	closed chan struct{}
}

func (c *memoryConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *memoryConn) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *memoryConn) Close() error                     { c.once.Do(func() { close(c.closed) }); return nil }
func (*memoryConn) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (*memoryConn) LocalAddr() net.Addr                { return &net.TCPAddr{} }
func (*memoryConn) SetDeadline(time.Time) error        { return nil }
func (*memoryConn) SetReadDeadline(time.Time) error    { return nil }
func (*memoryConn) SetWriteDeadline(t time.Time) error { return nil }

// oneConn is a listener of one connection.
type oneConn struct{ conn net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, net.ErrClosed
	}
	c := l.conn
	l.conn = nil
	return c, nil
}
func (*oneConn) Close() error   { return nil }
func (*oneConn) Addr() net.Addr { return &net.TCPAddr{} }
