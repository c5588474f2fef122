package proxy_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
)

// The limit of idle connections to one host is above what 64 agents use at once:
// the upstream sees as many connections as there are agents, however often they ask.
func TestSixtyFourAgentsKeepTheirUpstreamConnections(t *testing.T) {
	const agents, each = 64, 10
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			b := start(t, options{policy: `rules: [{name: up, hosts: [up.test], ports: [PORT], schemes: [http, https], intercept: true}]`})
			accepted := b.serveMeeting(t, scheme, agents)
			url := fmt.Sprintf("%s://up.test:%d/", scheme, b.rawPort())
			var ask errgroup.Group
			for range agents {
				client := b.client(false)
				ask.Go(func() error {
					for range each {
						if err := fetch(client, url); err != nil {
							return err
						}
					}
					return nil
				})
			}
			if err := ask.Wait(); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d connections for %d requests", accepted.Load(), agents*each)
			// net/http gives a connection up where its own goroutines stand still for
			// 50 ms, as on a busy machine they may.
			if n := accepted.Load(); n < agents || n > agents+agents/2 {
				t.Errorf("%d connections for %d requests of %d agents", n, agents*each, agents)
			}
		})
	}
}

// A connection serves the host and the policy that it was made for, and no other,
// although all of these lead to one address and port.
func TestConnectionsAreNotShared(t *testing.T) {
	const rules = `rules: [{name: %s, hosts: [plain.test, other.test], ports: [PORT], schemes: [http]}]`
	b := start(t, options{policy: fmt.Sprintf(rules, "one")})
	client := b.client(false)
	for i, c := range []struct {
		host        string
		connections int64 // so far
	}{{"plain.test", 1}, {"plain.test", 1}, {"other.test", 2}, {"plain.test", 2}, {"other.test", 2}} {
		must(t, fetch(client, b.plain.URL(c.host, "/small")))
		if got := b.plain.Connections(); got != c.connections {
			t.Errorf("request %d: %d connections, want %d", i, got, c.connections)
		}
	}
	b.swap(fmt.Sprintf(rules, "two"))
	must(t, fetch(client, b.plain.URL("plain.test", "/small")))
	if got := b.plain.Connections(); got != 3 {
		t.Errorf("under another policy: %d connections, want 3", got)
	}
}

// serveMeeting is an upstream, HTTP/1.1 only, on b.raw whose first agents requests
// wait for each other, so that each has a connection of its own. It returns how
// many connections were accepted.
func (b *bench) serveMeeting(t *testing.T, scheme string, agents int64) *atomic.Int64 {
	t.Helper()
	var accepted, come atomic.Int64
	met := make(chan struct{})
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if come.Add(1) == agents {
				close(met)
			}
			select {
			case <-met:
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, "hello")
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				accepted.Add(1)
			}
		},
		Protocols: new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	serve := s.Serve
	if scheme == "https" {
		leaf, err := b.ca.Leaf("up.test")
		must(t, err)
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12}
		serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = serve(b.raw)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
	})
	return &accepted
}

func fetch(c *http.Client, url string) error {
	resp, err := c.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
