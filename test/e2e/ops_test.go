package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// ops asks the metrics listener.
func (c *sidecar) ops(t *testing.T, method, path string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.metrics+path, nil)
	must(t, err)
	got := get(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, req)
	must(t, got.err)
	return got
}

func TestHealth(t *testing.T) {
	s := newSite(t, options{})
	car := s.start()
	for path, body := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if got := car.ops(t, http.MethodGet, path); got.status != http.StatusOK || got.body != body {
			t.Errorf("%s: %+v", path, got)
		}
		if got := car.ops(t, http.MethodPost, path); got.status != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %+v", path, got)
		}
	}
	// Nothing else is there: no profiles, nothing of the admin socket's, no proxy.
	for _, path := range []string{"/debug/pprof/", "/debug/vars", "/v1/state", "/v1/reload", "/"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodConnect} {
			if got := car.ops(t, method, path); got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %+v", method, path, got)
			}
		}
	}
	if status, d := say(t, car.addr, "GET /metrics HTTP/1.1\r\nHost: "+car.addr+"\r\n\r\n"); status != http.StatusBadRequest {
		t.Errorf("/metrics on the proxy's port: %d %+v", status, d)
	}
	car.stop()
}

// Each exchange is counted once, under labels that no agent can grow.
func TestMetrics(t *testing.T) {
	s := newSite(t, options{})
	car := s.start()
	for _, m := range allModes {
		goClient(t, car, m, m.url(s, "/echo"))
	}
	refused(t, car, "https://chosen-by-the-agent.test/")
	got := car.ops(t, http.MethodGet, "/metrics")
	for _, line := range []string{
		`signet_forward_total{host="plain.test",status_code="200"} 1`,
		`signet_forward_total{host="api.test",status_code="200"} 1`,
		`signet_forward_total{host="old-api.test",status_code="200"} 1`,
		`signet_denied_total{host="none",reason="HEL_HOST_NOT_ALLOWED",tenant="acme"} 1`,
		`signet_tunnels_total{mode="opaque"} 2`,
		`signet_tunnels_total{mode="intercept"} 2`,
		`signet_intercept_handshakes_total{result="ok"} 2`,
		`signet_journal_available 1`,
		`signet_panics_total 0`,
	} {
		if !strings.Contains(got.body, "\n"+line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	if strings.Contains(got.body, "chosen-by-the-agent") {
		t.Error("/metrics has a label that the agent chose")
	}
	if all := car.receipts(); len(all) != len(allModes)+1 {
		t.Errorf("%d receipts", len(all))
	}
	if t.Failed() {
		t.Log(got.body)
	}
}
