package http1_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/proxy/framing"
	"github.com/signet-egress/signet/proxy/http1"
)

// Request and answer go on at once, each part as it comes.
func TestLockStep(t *testing.T) {
	conn, up := connect(t, false)
	from, to := io.Pipe()
	reused := make(chan struct{})
	answered := make(chan *http.Response, 1)
	go func() {
		resp, err := conn.RoundTrip(request(t, "POST", from), http1.Terms{Header: time.Hour, Reuse: func() { close(reused) }})
		if err != nil {
			t.Error(err)
		}
		answered <- resp
	}()
	req, err := http.ReadRequest(up.r)
	must(t, err)
	up.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	resp := <-answered
	for _, part := range []string{"one", "two", "three"} {
		_, err := io.WriteString(to, part)
		must(t, err)
		got := make([]byte, len(part))
		_, err = io.ReadFull(req.Body, got)
		must(t, err)
		up.say("1\r\n.\r\n")
		_, err = io.ReadFull(resp.Body, got[:1])
		must(t, err)
	}
	up.say("0\r\n\r\n")
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	select {
	case <-reused:
		t.Fatal("reused while the request was still being sent")
	default:
	}
	must(t, to.Close())
	_, err = io.Copy(io.Discard, req.Body)
	must(t, err)
	<-reused
}

// An answer that comes before the request was sent, behind which the upstream
// closes, is heard although nothing more can be sent.
func TestAnsweredEarly(t *testing.T) {
	conn, up := connect(t, false)
	endless := io.MultiReader(strings.NewReader("hello"), zeros{})
	ended := ask(conn, request(t, "POST", endless), http1.Terms{})
	_, err := http.ReadRequest(up.r)
	must(t, err)
	up.say("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
	if o := <-ended; o.status != http.StatusRequestEntityTooLarge || o.content != "no" || o.reused {
		t.Errorf("%+v", o)
	}
	must(t, up.Close())
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// What is wrong with a request's content is why there is no answer.
func TestBrokenContent(t *testing.T) {
	broken := errors.New("the agent has left")
	for name, c := range map[string]struct {
		body   io.Reader
		length int64
		want   string
	}{
		"it breaks":    {io.MultiReader(strings.NewReader("hel"), failing{broken}), 5, broken.Error()},
		"it is short":  {strings.NewReader("hell"), 5, "not as long"},
		"it is longer": {strings.NewReader("hello!"), 5, "not as long"},
		"in chunks":    {io.MultiReader(strings.NewReader("hel"), failing{broken}), -1, broken.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			conn, up := connect(t, false)
			req := request(t, "POST", io.NopCloser(c.body))
			req.ContentLength = c.length
			ended := ask(conn, req, http1.Terms{})
			seen, _ := io.ReadAll(up.r)
			if o := <-ended; o.err == nil || !strings.Contains(o.err.Error(), c.want) || o.reused {
				t.Errorf("%+v", o)
			}
			if strings.Contains(string(seen), "hello") || strings.HasSuffix(string(seen), "0\r\n\r\n") {
				t.Errorf("the upstream saw a whole request: %q", seen)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Content that the upstream was asked about first is sent when it says so.
func TestExpectation(t *testing.T) {
	expecting := func(t *testing.T) *http.Request {
		req := request(t, "POST", strings.NewReader("hello"))
		req.Header.Set("Expect", "100-continue")
		return req
	}
	t.Run("wanted", func(t *testing.T) {
		conn, up := connect(t, false)
		var early []int
		ended := ask(conn, expecting(t), http1.Terms{Informational: func(status int, _ http.Header) error {
			early = append(early, status)
			return nil
		}})
		req, err := http.ReadRequest(up.r)
		must(t, err)
		up.say("HTTP/1.1 100 Continue\r\n\r\n")
		content, err := io.ReadAll(req.Body)
		must(t, err)
		up.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		if o := <-ended; o.status != http.StatusOK || string(content) != "hello" || len(early) != 1 {
			t.Errorf("%+v; the upstream read %q; early answers %v", o, content, early)
		}
	})
	t.Run("not wanted", func(t *testing.T) {
		conn, up := connect(t, false)
		ended := ask(conn, expecting(t), http1.Terms{})
		_, err := http.ReadRequest(up.r)
		must(t, err)
		up.say("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
		if o := <-ended; o.status != http.StatusExpectationFailed || o.reused {
			t.Errorf("%+v", o)
		}
		if rest, err := io.ReadAll(up.r); err != nil || len(rest) > 0 {
			t.Errorf("the upstream read %q, %v", rest, err)
		}
	})
	t.Run("not understood", func(t *testing.T) {
		conn, up := connect(t, false)
		ended := ask(conn, expecting(t), http1.Terms{})
		if _, content := up.hear(); content != "hello" {
			t.Errorf("the upstream read %q", content)
		}
		up.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		if o := <-ended; o.status != http.StatusOK {
			t.Errorf("%+v", o)
		}
	})
}

// Early answers are few, and who is told of them can end the exchange.
func TestInformational(t *testing.T) {
	refused := errors.New("enough")
	for name, c := range map[string]struct {
		terms http1.Terms
		want  string
	}{
		"too many": {http1.Terms{}, "more than 5 informational"},
		"refused":  {http1.Terms{Informational: func(int, http.Header) error { return refused }}, "enough"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, up := connect(t, false)
			ended := ask(conn, request(t, "GET", nil), c.terms)
			up.hear()
			up.say(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 6))
			if o := <-ended; o.err == nil || !strings.Contains(o.err.Error(), c.want) {
				t.Errorf("%+v", o)
			}
		})
	}
}

// An upgraded connection is the caller's, both ways, with what had come already.
func TestSwitch(t *testing.T) {
	conn, up := connect(t, false)
	answered := make(chan io.ReadWriteCloser, 1)
	go func() {
		resp, err := conn.RoundTrip(request(t, "GET", nil), http1.Terms{Header: time.Hour})
		if err != nil {
			t.Error(err)
		}
		both, _ := resp.Body.(io.ReadWriteCloser)
		answered <- both
	}()
	up.hear()
	up.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x00first\n")
	both := <-answered
	up.say("second")
	got := make([]byte, len("\x00first\nsecond"))
	_, err := io.ReadFull(both, got)
	must(t, err)
	_, err = io.WriteString(both, "\x00\r\n")
	must(t, err)
	must(t, both.(interface{ CloseWrite() error }).CloseWrite())
	if sent, err := io.ReadAll(up.r); string(got) != "\x00first\nsecond" || string(sent) != "\x00\r\n" || err != nil {
		t.Errorf("read %q, and the upstream %q, %v", got, sent, err)
	}
	must(t, both.Close())
}

// An answer that breaks a rule while the request is still being sent is told as
// that, and not as the request that ends with the connection.
func TestMalformedEarly(t *testing.T) {
	for range 100 {
		conn, up := connect(t, false)
		ended := ask(conn, request(t, "POST", zeros{}), http1.Terms{})
		_, err := http.ReadRequest(up.r)
		must(t, err)
		up.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n")
		if o := <-ended; !isMalformed(o.err) {
			t.Fatalf("%+v", o)
		}
		must(t, up.Close())
	}
}

func isMalformed(err error) bool {
	_, ok := errors.AsType[*framing.Error](err)
	return ok
}
