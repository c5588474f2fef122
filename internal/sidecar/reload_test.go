package sidecar_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/ruleset"
	"github.com/signet-egress/signet/internal/sidecar"
	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = []netip.Addr{netip.MustParseAddr("127.0.0.1")}

// running is a sidecar with a policy directory that a test rewrites.
type running struct {
	t        testing.TB
	dir      string // of the policy
	sidecar  *sidecar.Sidecar
	upstream *peers.Upstream
	metrics  string // URL of the ops listener
	agent    *http.Client
	admin    *http.Client
	plain    *http.Client // for the ops listener
	log      *testkit.Log
	pause    atomic.Pointer[func()] // runs in the middle of a reload
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, l.Close()) }()
	return l.Addr().String()
}

func start(t testing.TB, policy string, beforeServe ...func()) *running {
	t.Helper()
	r := &running{t: t, dir: t.TempDir(), upstream: testkit.Plain(t), log: new(testkit.Log)}
	r.write(policy)
	data, ops := t.TempDir(), freePort(t)
	source := func(current *ruleset.Set) (*config.Config, *ruleset.Set, error) {
		c, err := config.Load("", map[string]any{
			"listen": "127.0.0.1:0", "metrics_listen": ops, "data": data, "policy": r.dir, "shutdown_timeout": "1m",
		})
		if err != nil {
			return nil, nil, err
		}
		c.Resolver.Upstreams = []string{"udp://127.0.0.1:9"}
		c.Resolver.Hosts = []config.Host{{Name: "up.test", Addresses: loopback}}
		if pause := r.pause.Load(); pause != nil && current != nil {
			(*pause)()
		}
		set, err := current.Reload(c.Policy)
		return c, set, err
	}
	c, set, err := source(nil)
	must(t, err)
	level := new(slog.LevelVar)
	s, err := sidecar.New(t.Context(), sidecar.Options{
		Config: c, Policy: set, Source: source, Files: []string{c.Policy}, Build: "test",
		Logger: slog.New(c.Log.HandlerAt(r.log, level)), Level: level,
	})
	must(t, err)
	r.sidecar, r.metrics = s, "http://"+ops
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	for _, f := range beforeServe {
		f()
	}
	go func() { served <- s.Serve(ctx) }()
	r.agent = client(t, &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: s.Addr().String()})})
	r.admin = client(t, &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.AdminSocket)
	}})
	r.plain = client(t, &http.Transport{})
	t.Cleanup(func() {
		r.plain.CloseIdleConnections()
		r.agent.CloseIdleConnections()
		r.admin.CloseIdleConnections()
		stop()
		must(t, <-served)
	})
	return r
}

func client(t testing.TB, tr *http.Transport) *http.Client {
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// write replaces the policy as a mounted ConfigMap does: a new generation, and
// one rename of ..data.
func (r *running) write(rules string) {
	r.t.Helper()
	generation, err := os.MkdirTemp(r.dir, "..generation-")
	must(r.t, err)
	text := "version: 1\n" + strings.ReplaceAll(rules, "PORT", fmt.Sprint(r.upstream.Port())) + "\naddresses: {allow: [127.0.0.0/8]}\n"
	must(r.t, os.WriteFile(filepath.Join(generation, "policy.yaml"), []byte(text), 0o600))
	must(r.t, os.Symlink(filepath.Base(generation), filepath.Join(r.dir, "..tmp")))
	must(r.t, os.Rename(filepath.Join(r.dir, "..tmp"), filepath.Join(r.dir, "..data")))
	if _, err := os.Lstat(filepath.Join(r.dir, "policy.yaml")); err != nil {
		must(r.t, os.Symlink(filepath.Join("..data", "policy.yaml"), filepath.Join(r.dir, "policy.yaml")))
	}
}

// get is what an agent's request for up.test is answered with.
func (r *running) get() int {
	r.t.Helper()
	resp, err := r.agent.Get(r.upstream.URL("up.test", "/small"))
	must(r.t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	must(r.t, err)
	must(r.t, resp.Body.Close())
	return resp.StatusCode
}

// ask asks the admin socket, or the ops listener where path is a URL.
func (r *running) ask(method, path string) (int, string) {
	r.t.Helper()
	c := r.admin
	if strings.HasPrefix(path, "http://") {
		c = r.plain
	} else {
		path = "http://admin" + path
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, path, nil)
	must(r.t, err)
	return r.read(c.Do(req))
}

func (r *running) ready() (int, string) {
	r.t.Helper()
	return r.ask("GET", r.metrics+"/readyz?verbose")
}

func (r *running) read(resp *http.Response, err error) (int, string) {
	r.t.Helper()
	must(r.t, err)
	body, err := io.ReadAll(resp.Body)
	must(r.t, err)
	must(r.t, resp.Body.Close())
	return resp.StatusCode, string(body)
}

// No request waits for a reload, however long it takes: while one stands in the
// middle, requests are decided by what is in force, and after it by what is new.
func TestRequestsDoNotWaitForAReload(t *testing.T) {
	r := start(t, allowed)
	reached, release := make(chan struct{}), make(chan struct{})
	pause := sync.OnceFunc(func() {
		close(reached)
		<-release
	})
	r.pause.Store(&pause)
	r.write("mode: enforce")
	<-reached // by the watch, or by the poll that it begins with
	done := make(chan error, 1)
	go func() {
		_, err := r.sidecar.Reload(t.Context()) // waits for the other one
		done <- err
	}()
	for range 100 {
		if status := r.get(); status != http.StatusOK {
			t.Fatalf("in the middle of a reload: %d", status)
		}
	}
	close(release)
	must(t, <-done)
	if status := r.get(); status != http.StatusForbidden {
		t.Errorf("after the reload: %d", status)
	}
}

const allowed = "rules: [{name: up, hosts: [up.test], ports: [PORT], schemes: [http]}]"

func TestReloadByTheAdminSocket(t *testing.T) {
	r := start(t, "mode: enforce")
	if got := r.get(); got != 403 {
		t.Fatalf("before: %d", got)
	}
	r.write(allowed)
	code, body := r.ask("POST", "/v1/reload")
	var done sidecar.Reloaded
	if code != 200 || json.Unmarshal([]byte(body), &done) != nil || !strings.HasPrefix(done.PolicyVersion, "sha256:") {
		t.Fatalf("reload: %d %s", code, body)
	}
	if got := r.get(); got != 200 {
		t.Errorf("after: %d", got)
	}
	if code, body := r.ask("POST", "/v1/reload"); code != 200 || strings.Contains(body, `"changed":true`) {
		t.Errorf("the same again: %d %s", code, body)
	}
}

// A change is noticed without anybody asking.
func TestReloadByWatching(t *testing.T) {
	r := start(t, "mode: enforce")
	r.write(allowed)
	for r.get() != 200 { // bounded by the test's own deadline
	}
}

// A directory in which something else is written all the time is read all the same.
func TestReloadInABusyDirectory(t *testing.T) {
	r := start(t, "mode: enforce")
	follow := func(policy string, want int) {
		r.write(policy)
		for r.get() != want { // bounded by the test's own deadline
			must(t, os.WriteFile(filepath.Join(r.dir, "noise"), nil, 0o600))
		}
	}
	follow(allowed, 200) // which the first look of all may have seen
	follow("mode: enforce", 403)
}

// A sidecar that can have no watch serves, and reloads when it is told to.
func TestWithoutWatches(t *testing.T) {
	var before syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before))
	restore := sync.OnceFunc(func() { must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)) })
	defer restore()
	r := start(t, "mode: enforce", func() {
		must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: before.Max}))
	})
	for log := ""; !strings.Contains(log, "cannot be watched"); log = r.log.String() {
		if strings.Contains(log, "stopping") {
			t.Fatal("the sidecar stops, for want of a watch")
		}
	}
	restore()
	r.write(allowed)
	if code, body := r.ask("POST", "/v1/reload"); code != 200 {
		t.Errorf("reload: %d %s", code, body)
	}
	if got := r.get(); got != 200 {
		t.Errorf("afterwards: %d", got)
	}
}

// A bad file keeps what was in force, and says why wherever one would look.
func TestBadReload(t *testing.T) {
	r := start(t, allowed)
	r.write("rules: [{name: up, hostz: [up.test]}]")
	if code, body := r.ask("POST", "/v1/reload"); code != 422 || !strings.Contains(body, `"hostz"`) {
		t.Errorf("reload: %d %s", code, body)
	}
	if got := r.get(); got != 200 {
		t.Errorf("afterwards: %d", got)
	}
	code, text := r.ready()
	if code != 200 || !strings.Contains(text, "reload failed") || !strings.Contains(text, "hostz") {
		t.Errorf("readyz: %d %s", code, text)
	}
	if !strings.Contains(r.log.String(), "reload failed") {
		t.Error("the log does not say so")
	}
	if _, text := r.ask("GET", r.metrics+"/metrics"); !strings.Contains(text, "signet_policy_reload_failed 1") {
		t.Error("no gauge is raised")
	}
	r.write(allowed)
	if code, body := r.ask("POST", "/v1/reload"); code != 200 {
		t.Errorf("reload: %d %s", code, body)
	}
	if _, text := r.ready(); strings.Contains(text, "failed") {
		t.Errorf("readyz: %s", text)
	}
}

func TestAdmin(t *testing.T) {
	r := start(t, allowed)
	r.get()
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/v1/state", `"mode":"enforce"`},
		{"GET", "/v1/tunnels", "[]"},
		{"GET", "/v1/pins", `"host":"up.test"`},
		{"PUT", "/v1/log-level?level=debug", ""},
		{"GET", "/v1/records", `"type":"signet.genesis/1"`},
	} {
		if code, body := r.ask(c.method, c.path); code/100 != 2 || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, body)
		}
	}
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{"PUT", "/v1/log-level?level=loud", 400},
		{"GET", "/v1/reload", 405}, // nothing changes on GET
		{"GET", "/v1/records?from=0", 400},
	} {
		if code, body := r.ask(c.method, c.path); code != c.code {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, body)
		}
	}
}
