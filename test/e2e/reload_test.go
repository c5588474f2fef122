package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-egress/signet/receipts"
)

// manyRules is a policy of n rules besides the usual ones; no two generations
// are the same.
func manyRules(generation, n int) string {
	var b strings.Builder
	b.WriteString(usualRules)
	for i := range n {
		fmt.Fprintf(&b, "  - {name: rule-%[1]d, hosts: [h%[1]d.example.com, \"*.h%[1]d.example.org\"], ports: [443, %[2]d]}\n", i, generation)
	}
	return b.String()
}

// replacePolicy puts a new file in the place of the old one in one step.
func (s *site) replacePolicy(rules string) {
	s.t.Helper()
	ports := fmt.Sprintf("%d, %d, %d", s.secure.Port(), s.old.Port(), s.plain.Port())
	s.write("policy.new", "version: 1\naddresses: {allow: [127.0.0.1/32]}\n"+strings.ReplaceAll(rules, "PORTS", ports))
	must(s.t, os.Rename(s.path("policy.new"), s.path("policy.yaml")))
}

// reloaded is the answer of POST /v1/reload.
type reloaded struct {
	PolicyVersion string `json:"policy_version"`
	Changed       bool   `json:"changed"`
	Cut           int    `json:"cut"`
}

// reload asks the admin socket for a reload.
func (c *sidecar) reload(t *testing.T) (done reloaded, took time.Duration) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.site.path("data/admin.sock"))
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://admin/v1/reload", nil)
	must(t, err)
	began := time.Now()
	got := get(&http.Client{Transport: transport}, req)
	took = time.Since(began)
	must(t, got.err)
	if got.status != http.StatusOK {
		t.Fatalf("reload: %d %s", got.status, got.body)
	}
	must(t, json.Unmarshal([]byte(got.body), &done))
	return done, took
}

// askers are clients that ask without a pause.
type askers struct {
	t       *testing.T
	clients []*asker
	stop    chan struct{}
	running sync.WaitGroup
}

// asker is one of them; it keeps the ids of its receipts in order.
type asker struct {
	name     string // of the mode
	done     atomic.Int64
	ids      []string
	slowest  time.Duration
	failures []string
}

// startAskers starts clients in every mode, half of them with a new connection for
// each request.
func startAskers(t *testing.T, c *sidecar) *askers {
	t.Helper()
	w := &askers{t: t, stop: make(chan struct{})}
	for _, m := range []mode{plain, plain, interceptedH1, interceptedH1, interceptedH2, interceptedH2, opaqueH1, opaqueH2} {
		for _, keep := range []bool{true, false} {
			client := c.client(m)
			client.Transport.(*http.Transport).DisableKeepAlives = !keep
			one := &asker{name: fmt.Sprintf("%s, keep-alive %v", m.name, keep)}
			w.clients = append(w.clients, one)
			w.running.Go(func() { w.ask(one, client, m.url(c.site, "/small")) })
		}
	}
	return w
}

func (w *askers) ask(one *asker, client *http.Client, url string) {
	defer client.CloseIdleConnections()
	for {
		select {
		case <-w.stop:
			return
		default:
		}
		began := time.Now()
		id, err := askOnce(w.t.Context(), client, url)
		one.slowest = max(one.slowest, time.Since(began))
		one.done.Add(1)
		if err != nil {
			one.failures = append(one.failures, err.Error())
			return
		}
		if id != "" {
			one.ids = append(one.ids, id)
		}
	}
}

func askOnce(ctx context.Context, client *http.Client, url string) (receipt string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, errors.New(resp.Status+" "+resp.Header.Get("X-Signet-Reason")))
	}
	return resp.Header.Get("X-Signet-Receipt"), errors.Join(err, resp.Body.Close())
}

// ended is how many requests have ended, of all clients.
func (w *askers) ended() (sum int64) {
	for _, one := range w.clients {
		sum += one.done.Load()
	}
	return sum
}

// end stops the clients and reports their failures.
func (w *askers) end() {
	w.t.Helper()
	close(w.stop)
	w.running.Wait()
	var slowest time.Duration
	for _, one := range w.clients {
		for _, failure := range one.failures {
			w.t.Errorf("%s: %s", one.name, failure)
		}
		slowest = max(slowest, one.slowest)
	}
	w.t.Logf("%d requests of %d clients; the slowest took %v", w.ended(), len(w.clients), slowest)
}

// A policy of ten thousand rules is replaced again and again, by the admin socket
// and by the file alone, while sixteen clients ask without a pause. None of them
// fails, and none sees an older policy after a newer one. (That none waits,
// TestRequestsDoNotWaitForAReload of internal/sidecar shows without a clock.)
func TestReloadUnderLoad(t *testing.T) {
	const rules, rounds = 10_000, 3
	s := newSite(t, options{})
	car := s.start()
	s.replacePolicy(manyRules(1000, rules))
	first, idle := car.reload(t)
	t.Logf("reload of %d rules without load: %v", rules, idle)
	versions := []string{first.PolicyVersion}

	all := startAskers(t, car)
	one := car.client(plain)
	defer one.CloseIdleConnections()
	// Versions follow each other faster than the clients ask; each is to decide something.
	use := func() {
		t.Helper()
		_, err := askOnce(t.Context(), one, plain.url(s, "/small"))
		must(t, err)
	}
	use()
	for generation := range rounds {
		s.replacePolicy(manyRules(1001+2*generation, rules))
		before := all.ended()
		done, took := car.reload(t)
		t.Logf("reload by the admin socket: %v, in which %d requests ended", took, all.ended()-before)
		if !slices.Contains(versions, done.PolicyVersion) {
			versions = append(versions, done.PolicyVersion)
		}
		if done.Cut != 0 {
			t.Errorf("%d tunnels cut, that the new policy allows", done.Cut)
		}
		use()

		s.replacePolicy(manyRules(1002+2*generation, rules))
		line, err := car.Line(t.Context(), func(line string) bool {
			return says("reloaded")(line) && !slices.ContainsFunc(versions, func(v string) bool { return strings.Contains(line, v) })
		})
		must(t, err)
		var noticed reloaded
		must(t, json.Unmarshal([]byte(line), &noticed))
		versions = append(versions, noticed.PolicyVersion)
		use()
	}
	all.end()
	car.stop()
	if len(versions) != 2*rounds+1 {
		t.Errorf("%d versions were in force", len(versions))
	}
	expectVersionsInOrder(t, s.evidence(), versions, all.clients)
}

// expectVersionsInOrder: a receipt's policy was put on record before it, and each
// client sees them in order.
func expectVersionsInOrder(t *testing.T, e *evidence, versions []string, clients []*asker) {
	t.Helper()
	posted := make(map[string]bool)
	generation := make(map[string]int) // of each receipt
	used := make(map[string]int)
	for _, record := range e.records {
		switch r := record.(type) {
		case *receipts.Event:
			if r.Posture != nil && r.Posture.Name == "policy" {
				posted[r.Posture.Value] = true
			}
		case *receipts.Receipt:
			v := r.Policy.Version
			if !posted[v] || !slices.Contains(versions, v) || r.Outcome != receipts.Forwarded {
				t.Fatalf("receipt %s: %s %+v", r.ReceiptID, r.Outcome, r.Policy)
			}
			generation[r.ReceiptID] = slices.Index(versions, v)
			used[v]++
		}
	}
	for i, v := range versions {
		if used[v] == 0 {
			t.Errorf("no exchange was decided by version %d", i)
		}
	}
	for _, one := range clients {
		last := 0
		for _, id := range one.ids {
			g, ok := generation[id]
			if !ok || g < last {
				t.Fatalf("%s: receipt %s is of version %d (%v), after one of %d", one.name, id, g, ok, last)
			}
			last = g
		}
	}
}
