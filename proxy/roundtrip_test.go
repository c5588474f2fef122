package proxy_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// An answer that two programs could read as two things is none: the agent is told
// which rule it breaks, and the connection is not used again.
func TestMalformedAnswers(t *testing.T) {
	for name, c := range map[string]struct{ answer, detail string }{
		"length and coding": {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "both Content-Length and Transfer-Encoding"},
		"two lengths":       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "more than one Content-Length"},
		"bare line feeds":   {"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "bare LF"},
		"a folded line":     {"HTTP/1.1 200 OK\r\nA: b\r\n Content-Length: 5\r\n\r\nhello", "folded"},
		"no answer":         {"SSH-2.0-x\r\n", "status line"},
		"a large header":    {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "larger than 65536"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, options{policy: anything})
			client := b.client(false)
			for range 2 {
				go b.answerOnce(c.answer)
				resp, err := client.Get(fmt.Sprintf("http://plain.test:%d/", b.rawPort()))
				must(t, err)
				var d struct{ Reason, Detail string }
				must(t, json.NewDecoder(resp.Body).Decode(&d))
				must(t, resp.Body.Close())
				if resp.StatusCode != http.StatusBadGateway || d.Reason != "UPSTREAM_FAILED" || !strings.Contains(d.Detail, c.detail) {
					t.Errorf("%s: %+v", resp.Status, d)
				}
			}
			for _, r := range b.receipts() {
				if r.Outcome != "failed" || r.Policy.Reason != "UPSTREAM_FAILED" {
					t.Errorf("receipt %s %s", r.Outcome, r.Policy.Reason)
				}
			}
		})
	}
}

// Content that breaks a rule is cut where it does.
func TestMalformedContent(t *testing.T) {
	b := start(t, options{policy: anything})
	go b.answerOnce("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n")
	resp, err := b.client(false).Get(fmt.Sprintf("http://plain.test:%d/", b.rawPort()))
	must(t, err)
	content, err := io.ReadAll(resp.Body)
	if string(content) != "hello" || err == nil {
		t.Errorf("%q, %v", content, err)
	}
	must(t, resp.Body.Close())
	if r := b.only(); r.Outcome != "failed" || r.Policy.Reason != "UPSTREAM_FAILED" {
		t.Errorf("receipt %s %s", r.Outcome, r.Policy.Reason)
	}
}

// An upstream may close a connection that was idle at the moment when it is used
// again. What can have had no effect is asked again, and nothing else is.
func TestClosedWhenUsedAgain(t *testing.T) {
	for method, c := range map[string]struct{ status, requests int }{
		http.MethodGet: {http.StatusOK, 3}, http.MethodPost: {http.StatusBadGateway, 2}, http.MethodDelete: {http.StatusBadGateway, 2},
	} {
		t.Run(method, func(t *testing.T) {
			b := start(t, options{policy: anything})
			seen := make(chan int)
			go func() { seen <- b.closeWhenUsedAgain() }()
			client := b.client(false)
			url := fmt.Sprintf("http://plain.test:%d/", b.rawPort())
			must(t, fetch(client, url))
			req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
			must(t, err)
			resp, err := client.Do(req)
			must(t, err)
			must(t, resp.Body.Close())
			must(t, b.raw.Close())
			if n := <-seen; resp.StatusCode != c.status || n != c.requests {
				t.Errorf("%s, and the upstream saw %d requests", resp.Status, n)
			}
			if n := len(b.receipts()); n != 2 {
				t.Errorf("%d receipts", n)
			}
		})
	}
}

// closeWhenUsedAgain plays an upstream that answers the first request of each
// connection and closes it at the second. It returns how many requests it has
// seen, once it no longer listens.
func (b *bench) closeWhenUsedAgain() (requests int) {
	for {
		c, err := b.raw.Accept()
		if err != nil {
			return requests
		}
		r := bufio.NewReader(c)
		for n := range 2 {
			if _, err := http.ReadRequest(r); err != nil {
				break // the last connection ends with its agent
			}
			requests++
			if n == 0 {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
			if requests == 3 {
				break // nobody comes again
			}
		}
		_ = c.Close()
	}
}

// What an upstream speaks may change from one connection to the next, both ways.
func TestProtocolChanges(t *testing.T) {
	b := start(t, options{policy: anything})
	leaf, err := b.ca.Leaf("up.test")
	must(t, err)
	var protocol atomic.Value
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // over h2 too: the next request takes another one
		_, _ = io.WriteString(w, r.Proto)
	})}
	s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12, NextProtos: []string{protocol.Load().(string)}}, nil
	}}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.ServeTLS(b.raw, "", "")
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-served
	})
	protocol.Store("http/1.1")
	client := b.client(false)
	for _, next := range []string{"http/1.1", "h2", "h2", "http/1.1", "http/1.1", "h2"} {
		protocol.Store(next)
		want := map[string]string{"h2": "HTTP/2.0", "http/1.1": "HTTP/1.1"}[next]
		for ask(t, client, fmt.Sprintf("https://up.test:%d/", b.rawPort())) != want { // until the last connection is known to be gone
		}
	}
}

func ask(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	must(t, err)
	said, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, said)
	}
	return string(said)
}
