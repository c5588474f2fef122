package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

// sidecar is a running `signet run`. Where the test fails, its log is shown.
type sidecar struct {
	*peers.Process
	t       *testing.T
	site    *site
	addr    string // of the proxy
	metrics string // of /metrics, /healthz and /readyz
}

// command is signet with the site's configuration.
func (s *site) command() *exec.Cmd {
	s.t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(s.t.Context()), testkit.BuildSignet(s.t), "run", "--config", s.path("signet.yaml"))
	cmd.Dir = s.dir
	const nobody = "http://127.0.0.1:9" // a proxy that Signet itself must not use
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "KUBERNETES_SERVICE_HOST=" + apiServer,
		"HTTP_PROXY=" + nobody, "HTTPS_PROXY=" + nobody, "ALL_PROXY=" + nobody, "http_proxy=" + nobody, "https_proxy=" + nobody,
	}
	return cmd
}

// start returns once the sidecar says that it is ready.
func (s *site) start() *sidecar {
	s.t.Helper()
	car := &sidecar{Process: testkit.Start(s.t, s.command()), t: s.t, site: s}
	line, err := car.Line(s.t.Context(), says("serving"))
	must(s.t, err)
	var serving struct{ Listen, Metrics string }
	must(s.t, json.Unmarshal([]byte(line), &serving))
	car.addr, car.metrics = serving.Listen, serving.Metrics
	must(s.t, car.Ready(s.t.Context(), "http://"+car.metrics+"/readyz"))
	return car
}

// says matches a log line with that message.
func says(message string) func(line string) bool {
	return func(line string) bool { return strings.Contains(line, `"msg":"`+message+`"`) }
}

// stop ends the sidecar as an orchestrator does; it must end well.
func (c *sidecar) stop() {
	c.t.Helper()
	must(c.t, c.Signal(syscall.SIGTERM))
	if err := c.Wait(); err != nil {
		c.t.Fatalf("after SIGTERM the sidecar ended with %v", err)
	}
}

// exitCode waits for the sidecar's end.
func (c *sidecar) exitCode() int {
	c.t.Helper()
	err := c.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

func (c *sidecar) proxyURL() string { return "http://" + c.addr }

// interceptionRoots is the file that agents are given.
func (c *sidecar) interceptionRoots() string { return c.site.path("data/ca.pem") }

// roots are those of one PEM file and no others.
func roots(t testing.TB, file string) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(file)
	must(t, err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", file)
	}
	return pool
}

// client is net/http through the proxy, with a connection for each exchange that
// ends with it. It follows no redirect.
func (c *sidecar) client(m mode) *http.Client {
	c.t.Helper()
	client := c.pooled(m)
	client.Transport.(*http.Transport).DisableKeepAlives = true
	return client
}

// pooled is a client that uses its connections again.
func (c *sidecar) pooled(m mode) *http.Client {
	c.t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(m.protocol == "h1")
	protocols.SetHTTP2(m.protocol == "h2")
	transport := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: c.addr}),
		TLSClientConfig: &tls.Config{RootCAs: roots(c.t, m.roots(c)), MinVersion: tls.VersionTLS12},
		Protocols:       protocols,

		MaxIdleConnsPerHost: workers,
	}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
