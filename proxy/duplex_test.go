package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/signet-egress/signet/proxy"
)

// A request that ends badly after its answer has begun is what ended the
// exchange: the upstream has not left, it was left.
func TestRequestBreaksBehindAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		rules  string
		breaks func(agent net.Conn) error
		reason string
	}{
		"the agent leaves": {anything, func(agent net.Conn) error { return agent.Close() }, "CLIENT_ABORTED"},
		"a broken chunk":   {anything, func(agent net.Conn) error { _, err := io.WriteString(agent, "x\r\n"); return err }, "HEL_TARGET_MALFORMED"},
		"over its limit": {
			`rules: [{name: up, hosts: [plain.test], ports: [PORT], schemes: [http], limits: {request_bytes: 8}}]`,
			func(agent net.Conn) error { _, err := io.WriteString(agent, "9\r\n123456789\r\n"); return err }, "LIMIT_EXCEEDED",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, options{policy: c.rules})
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				b.answerOnce("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
			}()
			agent := b.dial()
			host := fmt.Sprintf("plain.test:%d", b.rawPort())
			_, err := fmt.Fprintf(agent, "POST http://%s/ HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", host, host)
			must(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(agent), nil)
			must(t, err)
			_, err = io.ReadFull(resp.Body, make([]byte, len("hello")))
			must(t, err)
			must(t, c.breaks(agent))
			<-ended
			if r := b.only(); r.Outcome != "failed" || r.Policy.Reason != c.reason {
				t.Errorf("receipt %s %s", r.Outcome, r.Policy.Reason)
			}
		})
	}
}

// An answer that comes before the request is whole reaches an agent that waits for
// it, and does not wait for the agent: over HTTP/1 and h2, on either side.
func TestAnsweredBeforeTheEnd(t *testing.T) {
	for _, upstream := range []string{"http/1.1", "h2"} {
		for _, agent := range []string{"http/1.1", "h2"} {
			t.Run(agent+" to "+upstream, func(t *testing.T) {
				b := start(t, options{policy: anything, timeouts: proxy.Timeouts{BodyStall: time.Hour, Idle: time.Hour}})
				stop := b.serveTLS(upstream, func(w http.ResponseWriter, r *http.Request) {
					_ = http.NewResponseController(w).EnableFullDuplex() // h2 is so by itself
					_, _ = io.ReadFull(r.Body, make([]byte, len("hello")))
					w.Header().Set("Content-Length", "2")
					w.WriteHeader(http.StatusRequestEntityTooLarge)
					_, _ = io.WriteString(w, "no")
					_ = http.NewResponseController(w).Flush()
				})
				defer stop()
				content, more := io.Pipe()
				go func() { _, _ = io.WriteString(more, "hello") }()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("https://up.test:%d/", b.rawPort()), content)
				must(t, err)
				resp, err := b.client(agent == "h2").Do(req)
				must(t, err)
				said, err := io.ReadAll(resp.Body)
				must(t, err)
				must(t, resp.Body.Close())
				must(t, more.Close())
				if resp.StatusCode != http.StatusRequestEntityTooLarge || string(said) != "no" {
					t.Errorf("%s: %q", resp.Status, said)
				}
			})
		}
	}
}

// serveTLS is up.test on b.raw, by one protocol, until stopped.
func (b *bench) serveTLS(protocol string, h http.HandlerFunc) (stop func()) {
	b.t.Helper()
	leaf, err := b.ca.Leaf("up.test")
	must(b.t, err)
	s := &http.Server{Handler: h, TLSConfig: &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12, NextProtos: []string{protocol}}}
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(protocol == "http/1.1")
	s.Protocols.SetHTTP2(protocol == "h2")
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.ServeTLS(b.raw, "", "")
	}()
	return func() {
		_ = s.Close()
		<-served
	}
}
