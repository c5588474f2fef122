package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// What stands behind a body that cannot be read is no request: a client that
// believes otherwise would be smuggled.
func TestNothingIsReadBehindABrokenBody(t *testing.T) {
	for _, mode := range []string{"plain", "intercepted"} {
		t.Run(mode, func(t *testing.T) {
			b := start(t, options{policy: anything})
			conn, base, host := b.http1(mode)
			_, err := fmt.Fprintf(conn, "POST %[1]s/echo HTTP/1.1\r\nHost: %[2]s\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"+
				"GET %[1]s/bytes?n=5 HTTP/1.1\r\nHost: %[2]s\r\n\r\n", base, host)
			must(t, err)
			answers, err := io.ReadAll(conn)
			must(t, err)
			if n := strings.Count(string(answers), "HTTP/1.1 "); n != 1 || !strings.HasPrefix(string(answers), "HTTP/1.1 400 ") {
				t.Errorf("%d answers: %s", n, answers)
			}
			must(t, conn.Close())
			if r := b.only(); r.Outcome != "failed" || r.Policy.Reason != "HEL_TARGET_MALFORMED" {
				t.Errorf("receipt %s %s", r.Outcome, r.Policy.Reason)
			}
		})
	}
}

// An answer that does not need the body does not wait for it, and neither does
// the connection.
func TestMissingBody(t *testing.T) {
	for name, c := range map[string]struct {
		host, field string
		status      int
	}{
		"denied":           {"nowhere.test", "", http.StatusForbidden},
		"denied, expected": {"nowhere.test", "Expect: 100-continue\r\n", http.StatusForbidden},
		"answered early":   {"plain.test", "", http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, options{policy: anything})
			if c.host == "plain.test" {
				go b.answerOnce("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
			}
			conn := b.dial()
			_, err := fmt.Fprintf(conn, "POST http://%[1]s:%[2]d/ HTTP/1.1\r\nHost: %[1]s:%[2]d\r\n%[3]sContent-Length: 4\r\n\r\n", c.host, b.rawPort(), c.field)
			must(t, err)
			r := bufio.NewReader(conn)
			resp, err := http.ReadResponse(r, nil)
			must(t, err)
			_, err = io.Copy(io.Discard, resp.Body)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != c.status {
				t.Errorf("%s", resp.Status)
			}
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("after the answer: %v", err)
			}
		})
	}
}

// Nor behind one that breaks once the answer is on its way.
func TestNothingIsReadBehindABodyThatBreaksLate(t *testing.T) {
	b := start(t, options{policy: anything})
	go b.answerOnce("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	conn := b.dial()
	_, err := fmt.Fprintf(conn, "POST http://plain.test:%[1]d/ HTTP/1.1\r\nHost: plain.test:%[1]d\r\nTransfer-Encoding: chunked\r\n\r\n", b.rawPort())
	must(t, err)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	must(t, err)
	_, err = fmt.Fprintf(conn, "ZZ\r\nGET http://plain.test:%[1]d/ HTTP/1.1\r\nHost: plain.test:%[1]d\r\n\r\n", b.plain.Port())
	must(t, err)
	rest, err := io.ReadAll(io.MultiReader(resp.Body, r))
	must(t, err)
	if string(rest) != "hello" {
		t.Errorf("the agent read %q", rest)
	}
}

// An agent that still sends when its answer is whole is not reset: it may not have
// read the answer yet.
func TestAgentStillSending(t *testing.T) {
	send := func() error {
		b := start(t, options{policy: anything})
		go b.answerOnce("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
		conn := b.dial()
		_, err := fmt.Fprintf(conn, "POST http://plain.test:%[1]d/ HTTP/1.1\r\nHost: plain.test:%[1]d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b.rawPort())
		must(t, err)
		_, err = io.Copy(io.Discard, conn) // to Signet's end
		must(t, err)
		for range 3 {
			if _, err := io.WriteString(conn, "5\r\nhello\r\n"); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	for range 5 { // the moment that Signet waits may pass on a busy machine
		if err = send(); err == nil {
			return
		}
	}
	t.Error(err)
}
