package http1_test

import (
	"bufio"
	"context"
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

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/proxy/framing"
	"github.com/signet-egress/signet/proxy/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// far is the upstream's end of a connection, which the test plays.
type far struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

// connect returns both ends of a connection.
func connect(t *testing.T, secure bool) (*http1.Conn, *far) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, l.Close()) }()
	client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	must(t, err)
	server, err := l.Accept()
	must(t, err)
	if secure {
		client, server = handshake(t, client, server)
	}
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
	})
	return http1.New(client), &far{server, t, bufio.NewReader(server)}
}

func handshake(t *testing.T, client, server net.Conn) (_, _ net.Conn) {
	t.Helper()
	ca := testkit.CA(t)
	leaf, err := ca.Leaf("up.test")
	must(t, err)
	s := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS13})
	c := tls.Client(client, &tls.Config{RootCAs: ca.Pool(), ServerName: "up.test", MinVersion: tls.VersionTLS13})
	shaken := make(chan error, 1)
	go func() { shaken <- s.HandshakeContext(t.Context()) }()
	must(t, c.HandshakeContext(t.Context()))
	must(t, <-shaken)
	return c, s
}

// say answers with bytes as they are.
func (f *far) say(s string) {
	f.t.Helper()
	_, err := io.WriteString(f.Conn, s)
	must(f.t, err)
}

// hear reads a request with its content.
func (f *far) hear() (*http.Request, string) {
	f.t.Helper()
	req, err := http.ReadRequest(f.r)
	must(f.t, err)
	content, err := io.ReadAll(req.Body)
	must(f.t, err)
	return req, string(content)
}

// outcome is how an exchange ended, as its caller sees it.
type outcome struct {
	status  int
	content string
	reused  bool
	err     error // of the exchange, or of the answer's content
}

// ask makes an exchange on another goroutine.
func ask(c *http1.Conn, req *http.Request, terms http1.Terms) <-chan outcome {
	ended := make(chan outcome, 1)
	go func() { ended <- exchange(c, req, terms) }()
	return ended
}

func exchange(c *http1.Conn, req *http.Request, terms http1.Terms) (o outcome) {
	reused := make(chan struct{}, 1)
	terms.Reuse = func() { reused <- struct{}{} }
	if terms.Header == 0 {
		terms.Header = time.Hour
	}
	resp, err := c.RoundTrip(req, terms)
	if err != nil {
		o.err = err
		return o
	}
	content, err := io.ReadAll(resp.Body)
	o.status, o.content, o.err = resp.StatusCode, string(content), errors.Join(err, resp.Body.Close())
	select {
	case <-reused:
		o.reused = true
	default:
	}
	return o
}

func request(t *testing.T, method string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://up.test/a?b", body)
	must(t, err)
	req.Header.Set("User-Agent", "")
	return req
}

// What is sent is the request that was meant, and nothing that was not.
func TestRequests(t *testing.T) {
	unknown := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) }
	for name, c := range map[string]struct {
		method string
		body   io.Reader
		header http.Header
		want   string
	}{
		"GET":            {"GET", nil, nil, "GET /a?b HTTP/1.1\r\nHost: up.test\r\n\r\n"},
		"fields":         {"GET", nil, http.Header{"B": {"2", "3"}, "A": {"1"}, "Content-Length": {"7"}, "Host": {"evil"}}, "GET /a?b HTTP/1.1\r\nHost: up.test\r\nA: 1\r\nB: 2\r\nB: 3\r\n\r\n"},
		"a user agent":   {"HEAD", nil, http.Header{"User-Agent": {"x"}}, "HEAD /a?b HTTP/1.1\r\nHost: up.test\r\nUser-Agent: x\r\n\r\n"},
		"no content":     {"POST", nil, nil, "POST /a?b HTTP/1.1\r\nHost: up.test\r\nContent-Length: 0\r\n\r\n"},
		"DELETE":         {"DELETE", nil, nil, "DELETE /a?b HTTP/1.1\r\nHost: up.test\r\n\r\n"},
		"a length":       {"PUT", strings.NewReader("hello"), nil, "PUT /a?b HTTP/1.1\r\nHost: up.test\r\nContent-Length: 5\r\n\r\nhello"},
		"no length":      {"PUT", unknown("hello"), nil, "PUT /a?b HTTP/1.1\r\nHost: up.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		"chunks of none": {"GET", unknown(""), nil, "GET /a?b HTTP/1.1\r\nHost: up.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, up := connect(t, false)
			req := request(t, c.method, c.body)
			for name, values := range c.header {
				req.Header[name] = values
			}
			ended := ask(conn, req, http1.Terms{})
			got := make([]byte, len(c.want))
			_, err := io.ReadFull(up.r, got)
			must(t, err)
			up.say("HTTP/1.1 204 No Content\r\n\r\n")
			if o := <-ended; o.err != nil || o.status != 204 {
				t.Errorf("%+v", o)
			}
			if string(got) != c.want || up.r.Buffered() > 0 {
				t.Errorf("sent %q and %d bytes more, want %q", got, up.r.Buffered(), c.want)
			}
		})
	}
}

// A request that another reader could take for two is not sent.
func TestRequestsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*http.Request){
		"a method":   func(r *http.Request) { r.Method = "GET /\r\n" },
		"no method":  func(r *http.Request) { r.Method = "" },
		"a host":     func(r *http.Request) { r.Host = "a\r\nb" },
		"no host":    func(r *http.Request) { r.Host, r.URL.Host = "", "" },
		"a target":   func(r *http.Request) { r.URL.Opaque = "/a\r\nb" },
		"a query":    func(r *http.Request) { r.URL.RawQuery = "a b" },
		"a name":     func(r *http.Request) { r.Header["A:b"] = []string{"c"} },
		"a value":    func(r *http.Request) { r.Header["A"] = []string{"b\r\nc"} },
		"a NUL byte": func(r *http.Request) { r.Header["A"] = []string{"\x00"} },
	} {
		t.Run(name, func(t *testing.T) {
			conn, up := connect(t, false)
			req := request(t, "GET", nil)
			spoil(req)
			if o := exchange(conn, req, http1.Terms{}); o.err == nil {
				t.Errorf("%+v", o)
			}
			if sent, err := io.ReadAll(up.r); err != nil || len(sent) > 0 {
				t.Errorf("sent %q, %v", sent, err)
			}
		})
	}
}

// After an answer that is whole the connection takes the next request; after any
// other it is closed.
func TestReuse(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, c := range map[string]struct {
		method, answer, content string
		reused                  bool
	}{
		"a length":             {"GET", ok + "Content-Length: 5\r\n\r\nhello", "hello", true},
		"no content":           {"GET", ok + "Content-Length: 0\r\n\r\n", "", true},
		"chunks":               {"GET", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello", true},
		"chunks and a trailer": {"GET", ok + "Transfer-Encoding: chunked\r\nTrailer: A\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n", "hello", true},
		"HEAD":                 {"HEAD", ok + "Content-Length: 5\r\n\r\n", "", true},
		"204":                  {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "", true},
		"304":                  {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", true},
		"behind early answers": {"GET", "HTTP/1.1 103 Early Hints\r\n\r\n" + ok + "Content-Length: 5\r\n\r\nhello", "hello", true},
		"HTTP/1.0, kept alive": {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", "hello", true},
		"close":                {"GET", ok + "Connection: close\r\nContent-Length: 5\r\n\r\nhello", "hello", false},
		"close, no content":    {"GET", ok + "Connection: close\r\nContent-Length: 0\r\n\r\n", "", false},
		"HTTP/1.0":             {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false},
		"more than asked":      {"GET", ok + "Content-Length: 5\r\n\r\nhello!", "hello", false},
		"an answer too many":   {"GET", ok + "Content-Length: 0\r\n\r\n" + ok, "", false},
		"content for HEAD":     {"HEAD", ok + "Content-Length: 5\r\n\r\nhello", "", false},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, secure), func(t *testing.T) {
				conn, up := connect(t, secure)
				ended := ask(conn, request(t, c.method, nil), http1.Terms{})
				up.hear()
				up.say(c.answer)
				if o := <-ended; o.err != nil || o.content != c.content || o.reused != c.reused {
					t.Fatalf("%+v", o)
				}
				if !c.reused {
					if _, err := up.r.ReadByte(); err == nil {
						t.Error("the connection was not closed")
					}
					return
				}
				if !conn.Idle() {
					t.Fatal("the connection is not ready")
				}
				ended = ask(conn, request(t, "GET", nil), http1.Terms{})
				up.hear()
				up.say(ok + "Content-Length: 5\r\n\r\nagain")
				if o := <-ended; o.err != nil || o.content != "again" || !o.reused {
					t.Errorf("the second time: %+v", o)
				}
			})
		}
	}
}

// A connection that its upstream has closed, or on which it has said what nobody
// asked for, is not used: the next request would get what is not its answer.
func TestIdle(t *testing.T) {
	for name, spoil := range map[string]func(*far) error{
		"closed":   func(f *far) error { return f.Close() },
		"answered": func(f *far) error { _, err := io.WriteString(f.Conn, "HTTP/1.1 200 OK\r\n\r\n"); return err },
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, secure), func(t *testing.T) {
				conn, up := connect(t, secure)
				ended := ask(conn, request(t, "GET", nil), http1.Terms{})
				up.hear()
				up.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				if o := <-ended; !o.reused || !conn.Idle() {
					t.Fatalf("%+v, and the connection is not ready", o)
				}
				must(t, spoil(up))
				for conn.Idle() { // until what was sent has come
				}
			})
		}
	}
}

// What breaks a rule is told with the rule, in a header or in content, and nothing
// more is read.
func TestMalformed(t *testing.T) {
	for name, c := range map[string]struct{ answer, content, detail string }{
		"header":  {"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "", "bare LF"},
		"framing": {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", "both"},
		"content": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n", "hello", "CRLF"},
		"no HTTP": {"\x15\x03\x01\x00\x02", "", "status line"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, up := connect(t, false)
			ended := ask(conn, request(t, "GET", nil), http1.Terms{})
			up.hear()
			up.say(c.answer)
			o := <-ended
			refused, ok := errors.AsType[*framing.Error](o.err)
			if !ok || !strings.Contains(refused.Detail, c.detail) || o.content != c.content || o.reused || !conn.Answered() {
				t.Errorf("%+v", o)
			}
		})
	}
}

// An answer that is cut off is no answer.
func TestCut(t *testing.T) {
	for name, answer := range map[string]string{
		"before it":     "",
		"in the header": "HTTP/1.1 200 OK\r\nContent-Le",
		"in a length":   "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
		"in a chunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"before an end": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, up := connect(t, false)
			ended := ask(conn, request(t, "GET", nil), http1.Terms{})
			up.hear()
			up.say(answer)
			must(t, up.Close())
			if o := <-ended; o.err == nil || o.reused || conn.Answered() != (answer != "") {
				t.Errorf("%+v", o)
			}
		})
	}
}

// The time of the header is bounded from the end of the request on; that of
// content is not this package's.
func TestHeaderTimeout(t *testing.T) {
	conn, up := connect(t, false)
	ended := ask(conn, request(t, "POST", strings.NewReader("hello")), http1.Terms{Header: time.Millisecond})
	up.hear()
	if o := <-ended; !errors.Is(o.err, os.ErrDeadlineExceeded) {
		t.Errorf("%+v", o)
	}
}

// The end of the context ends an exchange wherever it is.
func TestContext(t *testing.T) {
	for name, answer := range map[string]string{
		"before the answer": "", "in the header": "HTTP/1.1 200 OK\r\n", "in the content": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
	} {
		t.Run(name, func(t *testing.T) {
			conn, up := connect(t, false)
			ctx, cancel := context.WithCancel(t.Context())
			ended := ask(conn, request(t, "GET", nil).WithContext(ctx), http1.Terms{})
			up.hear()
			up.say(answer)
			cancel()
			if o := <-ended; o.err == nil || o.reused {
				t.Errorf("%+v", o)
			}
			if _, err := up.r.ReadByte(); err == nil {
				t.Error("the connection was not closed")
			}
		})
	}
}
