package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/ruleset"
	"github.com/signet-egress/signet/internal/sidecar"
)

// startSidecar runs one whose policy denies everything. stop ends it and waits.
func startSidecar(t *testing.T, data string) (proxy *url.URL, stop func()) {
	t.Helper()
	policy := filepath.Join(data, "policy.yaml")
	writeFile(t, policy, []byte("version: 1\n"))
	c, err := config.Load("", map[string]any{
		"data": data, "policy": policy, "listen": "127.0.0.1:0", "metrics_listen": "off", "resolver.upstreams": []string{"udp://127.0.0.1:9"},
	})
	if err != nil {
		t.Fatal(err)
	}
	set, err := ruleset.Load(c.Policy)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sidecar.New(t.Context(), sidecar.Options{Config: c, Policy: set, Build: "v0.1.0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop the sidecar: %v", err)
		}
	}
	t.Cleanup(stop)
	return &url.URL{Scheme: "http", Host: s.Addr().String()}, stop
}

// ask sends one request through the proxy, which denies it.
func ask(t *testing.T, proxy *url.URL, target string) {
	t.Helper()
	transport := &http.Transport{Proxy: http.ProxyURL(proxy)}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusForbidden {
		t.Fatalf("%s, %v", resp.Status, err)
	}
}

func TestRunningSidecar(t *testing.T) {
	data := t.TempDir()
	proxy, stop := startSidecar(t, data)
	ask(t, proxy, "http://first.example/")

	if out := signet(t, "receipts", "--data", data); !strings.Contains(out, "first.example:80/") || !strings.HasSuffix(out, "exit status 0\n") {
		t.Errorf("receipts:\n%s", out)
	}
	if out := signet(t, "tail", "--data", data, "-n", "1"); strings.Count(out, "\n") != 3 || !strings.Contains(out, "HEL_HOST_NOT_ALLOWED") {
		t.Errorf("tail:\n%s", out)
	}
	if out := signet(t, "verify", data); !strings.Contains(out, "tail --data "+data+" --from 1 --json | signet verify -") || !strings.HasSuffix(out, "exit status 2\n") {
		t.Errorf("verify:\n%s", out)
	}

	r, w := io.Pipe()
	followed := make(chan error, 1)
	go func() {
		root := newRootCommand()
		root.SetOut(w)
		root.SetErr(io.Discard)
		root.SetArgs([]string{"tail", "--data", data, "--follow", "-n", "1"})
		err := root.ExecuteContext(t.Context())
		followed <- errors.Join(err, w.Close())
	}()
	lines := bufio.NewScanner(r)
	seen := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("the follower ended before %q: %v", text, lines.Err())
	}
	seen("first.example")
	ask(t, proxy, "http://second.example/")
	seen("second.example")
	stop()
	for lines.Scan() { // to its end, so that the writer is not held up
	}
	if err := <-followed; err != nil {
		t.Errorf("the follower: %v", err)
	}
	if out := signet(t, "verify", data); !strings.HasPrefix(out, "verified: 2 receipts, ") || !strings.Contains(out, "clean stop") {
		t.Errorf("verify after the stop:\n%s", out)
	}
}

func TestNoAdminSocket(t *testing.T) {
	data := t.TempDir()
	startSidecar(t, data)
	out := signet(t, "tail", "--data", data, "--admin-socket", filepath.Join(data, "other.sock"))
	if !strings.Contains(out, "nobody answers on the admin socket "+filepath.Join(data, "other.sock")) || !strings.HasSuffix(out, "exit status 2\n") {
		t.Error(out)
	}
	out = signet(t, "tail", "--data", data, "--admin-socket", "off")
	if !strings.Contains(out, "without an admin socket") || !strings.HasSuffix(out, "exit status 2\n") {
		t.Error(out)
	}
}
