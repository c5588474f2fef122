package redis_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/redis"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

// A Redis that stops in the middle, with its connections open, is waited for once;
// when it goes on, so does what was shared.
func TestHang(t *testing.T) {
	s := server(t)
	c, seen := replica(t, s.URL(nil), 2*time.Second, time.Millisecond)
	b := c.Budget("records", own(1, 100))
	if wait := b.Take(t.Context(), "acme", 100); wait != 0 {
		t.Errorf("the first have to wait for %s", wait)
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	if wait := b.Take(t.Context(), "acme", 100); wait != 0 {
		t.Errorf("the replica's own budget has to wait for %s", wait)
	}
	if !strings.Contains(seen.logged(), "Redis does not answer") || seen.count("take failed") != 1 {
		t.Errorf("logged %s", seen.logged())
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	for seen.count("get answered") == 0 {
		c.Get(t.Context(), "a", 1)
	}
	if wait := b.Take(t.Context(), "acme", 100); wait < 50*time.Second {
		t.Errorf("what was taken before is forgotten: the next 100 wait for %s", wait)
	}
}

// With rediss:// the server's certificate is verified, for the host of the URL.
func TestTLS(t *testing.T) {
	s := server(t, "requirepass hunter2")
	ca, err := peers.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := peers.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		leaf    string
		roots   *x509.CertPool
		refused string
	}{
		"good":                {"127.0.0.1", ca.Pool(), ""},
		"another host's":      {"cache.example", ca.Pool(), "x509"},
		"another authority's": {"127.0.0.1", stranger.Pool(), "x509"},
	} {
		t.Run(name, func(t *testing.T) {
			leaf, err := ca.Leaf(c.leaf)
			if err != nil {
				t.Fatal(err)
			}
			l := listener(t, func(conn net.Conn) { endTLS(t.Context(), conn, leaf, s) })
			settings, err := redis.ParseURL("rediss://:hunter2@" + l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			settings.Timeout = patient
			settings.Trust(c.roots)
			o := &observer{questions: make(map[string]int)}
			client := redis.New(t.Context(), settings, []byte("secret"), slog.New(slog.NewTextHandler(o, nil)), o)
			if log := o.logged(); !strings.Contains(log, c.refused) || c.refused == "" && log != "" || strings.Contains(log, "hunter2") {
				t.Errorf("logged %s", log)
			}
			if err := client.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// endTLS carries a client's connection on to the server, without its TLS.
func endTLS(ctx context.Context, conn net.Conn, leaf tls.Certificate, s *peers.Redis) {
	outer := tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{leaf}})
	inner, err := s.Dial(ctx)
	if err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(outer, inner)
		close(done)
	}()
	_, _ = io.Copy(inner, outer)
	_ = inner.Close()
	<-done
}
