package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/receipts"
)

// Clients give their API key as each of them can, and the receipts name the agent
// and the key's id, never the key.
func TestAPIKeys(t *testing.T) {
	s := newSite(t, options{config: agentsConfig})
	car := s.start()
	want := make(map[string]int) // receipts by agent, key and reason
	for _, m := range []mode{plain, opaqueH1, interceptedH1, interceptedH2} {
		url := m.url(s, "/small")
		curl := func(args ...string) testkit.Result {
			return testkit.Curl(t, append(args, "--cacert", m.roots(car), "--output", "/dev/null", "--dump-header", "-",
				"--write-out", "%{http_connect} %{response_code}", url)...)
		}
		for _, right := range [][]string{
			{"--proxy", car.proxyURL(), "--proxy-user", "anything:reader-key"},
			{"--proxy", car.proxyURL(), "--proxy-user", "reader-key:"},
			{"--proxy", "http://agent:reader-key@" + car.addr},
			{"--proxy", car.proxyURL(), "--proxy-header", "Proxy-Authorization: Bearer reader-key", "--header", "Proxy-Authorization:"},
		} {
			if m.tls == "none" && len(right) == 6 { // --proxy-header is for CONNECT
				right = []string{"--proxy", car.proxyURL(), "--header", "Proxy-Authorization: Bearer reader-key"}
			}
			if got := curl(right...); got.ExitCode != 0 || !strings.HasSuffix(got.Stdout, " 200") {
				t.Errorf("%s, %v: exit status %d, %s %s", m.name, right, got.ExitCode, got.Stdout, got.Stderr)
			}
			want["reader k1 ok"]++
		}
		for _, wrong := range [][]string{
			{"--proxy", car.proxyURL()},
			{"--proxy", car.proxyURL(), "--proxy-user", "reader:guess"},
			{"--proxy", "http://guess@" + car.addr},
		} {
			got := curl(wrong...)
			code := map[bool]string{true: "000 407", false: "407 000"}[m.tls == "none"]
			if !strings.HasSuffix(got.Stdout, code) || !strings.Contains(got.Stdout, "\nProxy-Authenticate: Basic realm=\"Signet\"") ||
				!strings.Contains(got.Stdout, "\nProxy-Authenticate: Bearer realm=\"Signet\"") {
				t.Errorf("%s, %v: exit status %d, %s", m.name, wrong, got.ExitCode, got.Stdout)
			}
			want["tester  AUTH_REQUIRED"]++
		}
		if m.protocol != "h1" {
			continue
		}
		withKey := "http://agent:writer-key@" + car.addr
		env := append(environment(car, m), "http_proxy="+withKey, "https_proxy="+withKey)
		for _, script := range []string{urllib, requests, httpx} {
			output(t, testkit.Client{Env: env}.Python(t, script, m.url(s, "/echo"), message, testID))
			want["writer k2 ok"]++
		}
	}
	for _, r := range slices.Concat(s.plain.Requests(), s.secure.Requests(), s.old.Requests()) {
		if r.Header.Get("Proxy-Authorization") != "" {
			t.Errorf("the key of %s %s went on", r.Method, r.RequestURI)
		}
	}
	got := make(map[string]int)
	for _, r := range car.receipts() {
		got[fmt.Sprintf("%s %s %s", r.Agent, r.APIKey, r.Policy.Reason)] += int(r.Count)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("receipts %v, want %v", got, want)
	}
	if log := car.Output(); strings.Contains(log, "reader-key") || strings.Contains(log, "guess") {
		t.Error("a key is in the log")
	}
}

// Above its rate an agent is told when to come back, and no request of it goes
// on before.
func TestRateLimit(t *testing.T) {
	s := newSite(t, options{rules: strings.ReplaceAll(usualRules, "ports:", "limits: {requests_per_second: 1, burst: 5}, ports:")})
	car := s.start()
	for _, m := range []mode{plain, interceptedH2} {
		client := car.client(m)
		carried, refused := 0, 0
		for refused < 20 {
			resp, err := client.Do(newRequest(t, m.url(s, "/small")))
			must(t, err)
			must(t, resp.Body.Close())
			switch resp.StatusCode {
			case http.StatusOK:
				carried++
			case http.StatusTooManyRequests:
				refused++
				if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || n != 1 || resp.Header.Get("X-Signet-Reason") != "RATE_LIMITED" {
					t.Errorf("%s: %v", m.name, resp.Header)
				}
			default:
				t.Fatalf("%s: %s", m.name, resp.Status)
			}
		}
		if carried < 5 {
			t.Errorf("%s: only %d of a burst of 5 were carried", m.name, carried)
		}
		if seen := m.upstream(s).RequestCount(); int(seen) != carried {
			t.Errorf("%s: %d requests were carried, and the upstream saw %d", m.name, carried, seen)
		}
	}
	var others sync.WaitGroup
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	others.Go(func() { spend(ctx, t, car, opaqueH1) })
	connect := func() testkit.Result {
		return testkit.Curl(t, "--proxy", car.proxyURL(), "--cacert", s.path("ca.pem"), "--include", opaqueH1.url(s, "/small"))
	}
	got := connect()
	for got.ExitCode == 0 { // it was there first
		got = connect()
	}
	enough()
	others.Wait()
	if !strings.HasPrefix(got.Stdout, "HTTP/1.1 429 Signet RATE_LIMITED\r\n") || !strings.Contains(got.Stdout, "\r\nRetry-After: 1\r\n") {
		t.Errorf("CONNECT: exit status %d, %s", got.ExitCode, got.Stdout)
	}
	car.stop()
}

// spend uses up what the rates of the modes' rules allow, as it comes, so that a client
// meets them used up however long it takes to start.
func spend(ctx context.Context, t *testing.T, car *sidecar, modes ...mode) {
	pace := time.NewTicker(10 * time.Millisecond) // a hundredth of the time in which a request comes free
	defer pace.Stop()
	clients := make([]*http.Client, len(modes))
	for i, m := range modes {
		clients[i] = car.client(m)
	}
	for {
		for i, m := range modes {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url(car.site, "/small"), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if got := get(clients[i], req); got.err != nil && ctx.Err() == nil && !strings.Contains(got.err.Error(), "RATE_LIMITED") {
				t.Error(got.err)
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
	}
}

// As many exchanges, and as many tunnels, as a rule allows at once, whatever they
// wait for.
func TestConcurrencyLimits(t *testing.T) {
	for limit, modes := range map[string][]mode{
		"concurrent: 1": {plain, opaqueH1, interceptedH1, interceptedH2},
		"tunnels: 1":    {opaqueH1, interceptedH1},
	} {
		for _, m := range modes {
			t.Run(limit+" "+m.name, func(t *testing.T) {
				s := newSite(t, options{rules: m.rule("limits: {" + limit + "}")})
				car := s.start()
				held := car.hold(m, "g")
				second := testkit.Curl(t, "--proxy", car.proxyURL(), "--cacert", m.roots(car), "--include", m.url(s, "/small"))
				if !strings.Contains(second.Stdout, " 429 ") || !strings.Contains(second.Stdout, "LIMIT_EXCEEDED") {
					t.Errorf("the second at once: %s %s", second.Stdout, second.Stderr)
				}
				m.upstream(s).Gate("g").Open()
				if got := <-held; got.err != nil || got.status != http.StatusOK {
					t.Errorf("the first: %+v", got)
				}
				var denied int
				for _, r := range car.receipts() {
					if r.Outcome == receipts.Denied && r.Policy.Reason == "LIMIT_EXCEEDED" {
						denied++
					}
				}
				if denied != 1 || m.upstream(s).RequestCount() != 1 {
					t.Errorf("%d denials, and the upstream saw %d requests", denied, m.upstream(s).RequestCount())
				}
			})
		}
	}
}

// rule is a policy for the mode's host alone.
func (m mode) rule(more string) string {
	scheme := map[bool]string{true: "http", false: "https"}[m.tls == "none"]
	return fmt.Sprintf("rules: [{name: one, hosts: [%s], ports: [PORTS], schemes: [%s], intercept: %v, %s}]", m.host, scheme, m.tls == "intercept", more)
}

// An agent that hammers on a closed door does not fill the disk: above fifty a
// second its denials share a receipt for each reason, and none goes uncounted.
func TestDenialsCoalesce(t *testing.T) {
	s := newSite(t, options{})
	car := s.start()
	client := car.client(plain)
	const asked = 2000
	began := time.Now()
	ids := make(map[string]bool)
	for range asked {
		resp, err := client.Do(newRequest(t, "http://evil.test/"))
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != http.StatusForbidden {
			t.Fatal(resp.Status)
		}
		ids[resp.Header.Get("X-Signet-Receipt")] = true
	}
	fast := time.Since(began) < asked/50*time.Second
	all := car.receipts()
	var told int64
	for _, r := range all {
		told += r.Count
		if !ids[r.ReceiptID] {
			t.Errorf("no answer named the receipt %s", r.ReceiptID)
		}
	}
	t.Logf("%d receipts", len(all))
	if told != asked || len(all) != len(ids) || fast && len(all) == asked {
		t.Errorf("%d receipts tell of %d denials, and the answers named %d; %d were made", len(all), told, len(ids), asked)
	}
}
