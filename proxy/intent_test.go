package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// The intent comes before any effect: while it is not durable there is no
// connection to the upstream.
func TestNoConnectionBeforeTheIntent(t *testing.T) {
	for name, head := range map[string]string{
		"plain":       "GET http://plain.test:%[1]d/ HTTP/1.1\r\nHost: plain.test:%[1]d\r\n\r\n",
		"tunnel":      "CONNECT other.test:%[1]d HTTP/1.1\r\nHost: other.test:%[1]d\r\n\r\n",
		"intercepted": "CONNECT up.test:%[1]d HTTP/1.1\r\nHost: up.test:%[1]d\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, options{policy: anything})
			intents := b.journal.holdIntents()
			conn := b.dial()
			_, err := fmt.Fprintf(conn, head, b.rawPort())
			must(t, err)
			<-intents.come
			raw := b.raw.(*net.TCPListener)
			must(t, raw.SetDeadline(time.Now().Add(quiet)))
			if _, err := raw.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("before the intent was durable: %v", err)
			}
			must(t, raw.SetDeadline(time.Time{}))
			close(intents.open)
			c, err := raw.Accept()
			must(t, err)
			must(t, c.Close())
		})
	}
}

// Nor does a byte go out on a connection that is open already.
func TestNoByteBeforeTheIntent(t *testing.T) {
	b := start(t, options{policy: anything})
	conn := b.dial()
	agent := bufio.NewReader(conn)
	ask := func() {
		_, err := fmt.Fprintf(conn, "GET http://plain.test:%[1]d/ HTTP/1.1\r\nHost: plain.test:%[1]d\r\n\r\n", b.rawPort())
		must(t, err)
	}
	ask()
	up, err := b.raw.Accept()
	must(t, err)
	defer func() { must(t, up.Close()) }()
	upstream := bufio.NewReader(up)
	answer := func() {
		_, err := http.ReadRequest(upstream)
		must(t, err)
		_, err = io.WriteString(up, "HTTP/1.1 204 No Content\r\n\r\n")
		must(t, err)
		resp, err := http.ReadResponse(agent, nil)
		must(t, err)
		must(t, resp.Body.Close())
	}
	answer()

	intents := b.journal.holdIntents()
	ask()
	<-intents.come
	mustBeQuiet(t, up)
	close(intents.open)
	answer()
}
