package sidecar

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/ruleset"
)

// TestAgentsByKey: the configuration's keys are asked for, and only the agents
// that it names have any.
func TestAgentsByKey(t *testing.T) {
	c, err := config.Load("", map[string]any{"data": t.TempDir(), "listen": "127.0.0.1:0", "metrics_listen": "off", "admin_socket": "off", "resolver.upstreams": "udp://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	c.Agents = []config.Agent{
		{Name: "reader", Keys: []config.APIKey{{ID: "r1", SHA256: sha256.Sum256([]byte("old"))}, {ID: "r2", SHA256: sha256.Sum256([]byte("new"))}}},
		{Name: "writer", Keys: []config.APIKey{{ID: "w1", SHA256: sha256.Sum256([]byte("other"))}}},
	}
	set, err := ruleset.Load(filepath.Join("..", "..", "examples", "policies", "deny-drop-boxes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), Options{Config: c, Policy: set, Build: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()

	for key, want := range map[string]int{"": 407, "guess": 407, "old": 403, "new": 403, "other": 403} {
		if got := statusWithKey(t, s, key); got != want {
			t.Errorf("key %q: status %d, want %d", key, got, want)
		}
	}
}

func statusWithKey(t *testing.T, s *Sidecar, key string) int {
	t.Helper()
	proxy := &url.URL{Scheme: "http", Host: s.Addr().String()}
	if key != "" {
		proxy.User = url.User(key)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(proxy)}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://unlisted.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	return resp.StatusCode
}
