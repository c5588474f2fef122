package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"github.com/signet-egress/signet/receipts"
)

// answer is how a request that was held for a while ended.
type answer struct {
	status int
	body   string
	err    error
}

// hold sends a request that its upstream holds at gate, and returns once it is
// there.
func (c *sidecar) hold(m mode, gate string) <-chan answer {
	c.t.Helper()
	client := c.client(m)
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, m.url(c.site, "/slow/"+gate+"?gate="+gate), nil)
	must(c.t, err)
	ended := make(chan answer, 1)
	go func() { ended <- get(client, req) }()
	select {
	case <-m.upstream(c.site).Gate(gate).Entered():
	case got := <-ended:
		c.t.Fatalf("%s: before the gate was opened: %+v", m.name, got)
	}
	return ended
}

func get(client *http.Client, req *http.Request) answer {
	resp, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(body), errors.Join(err, resp.Body.Close())}
}

// terminate sends SIGTERM and returns once the sidecar is stopping.
func (c *sidecar) terminate() {
	c.t.Helper()
	must(c.t, c.Signal(syscall.SIGTERM))
	_, err := c.Line(c.t.Context(), says("stopping"))
	must(c.t, err)
}

// A stop lets what is under way end, takes nothing new, and says in the chain
// that it was clean.
func TestStopDrains(t *testing.T) {
	for _, m := range allModes {
		t.Run(m.name, func(t *testing.T) {
			s := newSite(t, options{})
			car := s.start()
			ended := car.hold(m, "g")
			car.terminate()
			untilRefused(t, car.addr)
			if got := car.ops(t, http.MethodGet, "/readyz"); got.status != http.StatusServiceUnavailable {
				t.Errorf("/readyz of a stopping sidecar: %+v", got)
			}
			m.upstream(s).Gate("g").Open()
			if got := <-ended; got.err != nil || got.status != http.StatusOK || got.body != `{"ok":true,"path":"/slow/g"}`+"\n" {
				t.Errorf("%+v", got)
			}
			if code := car.exitCode(); code != 0 {
				t.Errorf("exit status %d", code)
			}
			e := s.evidence()
			if !e.result.CleanStop || len(e.receipts) != 1 || e.receipts[0].Outcome != receipts.Forwarded {
				t.Errorf("clean stop %v, receipts %v", e.result.CleanStop, outcomes(e.receipts))
			}
		})
	}
}

// untilRefused returns once nobody listens at address. A connection that waits
// in the queue of a listener being closed may be made before.
func untilRefused(t *testing.T, address string) {
	t.Helper()
	for {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			err = conn.Close()
		}
		if err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
	}
}

// A stop ends at its limit: what is left then is cut, with receipts that say so.
func TestStopCutsAtItsLimit(t *testing.T) {
	s := newSite(t, options{config: "shutdown_timeout: 1s"})
	car := s.start()
	var held []<-chan answer
	for i, m := range allModes {
		held = append(held, car.hold(m, fmt.Sprint(i)))
	}
	car.terminate()
	if code := car.exitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	for i, ended := range held {
		if got := <-ended; got.err == nil && got.status < 500 {
			t.Errorf("%s: a cut exchange was answered: %+v", allModes[i].name, got)
		}
	}
	e := s.evidence()
	if !e.result.CleanStop || e.open != 0 || len(e.receipts) != len(allModes) {
		t.Errorf("clean stop %v, %d open intents, receipts %v", e.result.CleanStop, e.open, outcomes(e.receipts))
	}
	for _, r := range e.receipts {
		if r.Outcome != receipts.Failed || r.Policy.Reason != "INTERNAL" || !r.Policy.Allowed || r.Usage.VEX != 0 {
			t.Errorf("%s: %s %+v", r.Detail.Request.Host, r.Outcome, r.Policy)
		}
	}
}

// A second signal ends the sidecar at once; the next start puts on record what
// it has left.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	s := newSite(t, options{})
	car := s.start()
	var held []<-chan answer
	for i, m := range allModes {
		held = append(held, car.hold(m, fmt.Sprint(i)))
	}
	car.terminate()
	must(t, car.Signal(syscall.SIGTERM))
	var exit *exec.ExitError
	if err := car.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("after the second signal: %v", err)
	}
	for i, ended := range held {
		if got := <-ended; got.err == nil {
			t.Errorf("%s: %+v", allModes[i].name, got)
		}
	}
	if e := s.evidence(); e.open != len(allModes) || len(e.receipts) != 0 || e.result.CleanStop {
		t.Errorf("%d open intents, %d receipts, clean stop %v", e.open, len(e.receipts), e.result.CleanStop)
	}

	all := s.start().receipts()
	if len(all) != len(allModes) || slices.ContainsFunc(all, func(r *receipts.Receipt) bool { return r.Outcome != receipts.Unknown }) {
		t.Errorf("after the next start: %v", outcomes(all))
	}
}
