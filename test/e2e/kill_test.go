package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

var kills = flag.Int("e2e.kills", 5, "rounds of the kill test; make torture has 50")

const workers = 64

// kill -9 at any moment loses no evidence: whatever an upstream has seen has a
// receipt after the next start, whatever a client has seen the end of has one
// that says so, and the chain verifies over all starts.
func TestKill(t *testing.T) {
	s := newSite(t, options{config: "journal: {seal_size: 100000}\n"}) // so that kills hit sealing too
	l := newLedger(t, s)
	for round := range *kills {
		car := s.start()
		l.readAfterStart(car)
		c := newCrowd(car, round)
		c.hold()
		c.work(100 + rand.IntN(400)) // any moment will do
		c.kill()
		l.expect(c)
		killAmidRecovery(s)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	car := s.start()
	l.readAfterStart(car)
	car.stop()

	// Nothing is seen any more once they are closed, and all that was counts.
	for _, u := range s.upstreams() {
		u.Close()
	}
	l.checkSeen()
	e := s.evidence()
	if !e.result.CleanStop || e.result.Receipts != int64(l.receipts) || e.open != 0 {
		t.Errorf("at the end: %+v and %d open intents, after %d receipts", e.result, e.open, l.receipts)
	}
	s.verify(l.receipts)
	sealed, err := filepath.Glob(s.path("data/*.jsonl.gz"))
	if err != nil || len(sealed) < *kills {
		t.Errorf("%d sealed files after %d kills, %v", len(sealed), *kills, err)
	}
	t.Logf("%d kills: %d receipts, %d of them unknown; %d requests seen, %d answers completed",
		*kills, l.receipts, l.unknown, l.seen, l.completed)
}

// verify has signet verify say that the chain holds that many receipts.
func (s *site) verify(n int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), testkit.BuildSignet(s.t), "verify", s.path("data"))
	said, err := cmd.CombinedOutput()
	if want := fmt.Sprintf("verified: %d receipts, chain ", n); err != nil || !strings.Contains(string(said), want) {
		s.t.Errorf("signet verify: %v: %s; want %q", err, said, want)
	}
}

// killAmidRecovery starts a sidecar that finds what a kill has left, and kills it
// while it puts that on record.
func killAmidRecovery(s *site) {
	s.t.Helper()
	p := testkit.Start(s.t, s.command())
	_, err := p.Line(s.t.Context(), says("journal: the last stop was not clean"))
	must(s.t, err)
	p.Kill()
}

func (s *site) upstreams() []*peers.Upstream { return []*peers.Upstream{s.secure, s.old, s.plain} }

// crowd is the agents of one round.
type crowd struct {
	car     *sidecar
	round   int
	ways    []way
	working sync.WaitGroup
	done    chan struct{} // a token for each completed exchange
	killed  chan struct{} // closed before the sidecar is killed

	mu        sync.Mutex
	held      []string             // ids of exchanges that the upstreams hold until the kill
	completed map[string]completed // by id
}

// completed is an exchange that a client has seen the end of.
type completed struct {
	way     string
	path    string
	receipt string // id that the answer named; "" in a tunnel
}

func newCrowd(car *sidecar, round int) *crowd {
	return &crowd{
		car: car, round: round, ways: newWays(car),
		done: make(chan struct{}), killed: make(chan struct{}), completed: make(map[string]completed),
	}
}

func (c *crowd) isKilled() bool {
	select {
	case <-c.killed:
		return true
	default:
		return false
	}
}

// hold has one exchange in each way reach its upstream and stay there, so that
// there are intents for the kill to leave open.
func (c *crowd) hold() {
	c.car.t.Helper()
	for i, w := range c.ways {
		id := fmt.Sprintf("r%d-held-%d", c.round, i)
		c.held = append(c.held, id)
		ended := make(chan error, 1)
		c.working.Go(func() {
			_, err := w.send(id, "/slow/"+id+"?gate="+id)
			ended <- err
		})
		select {
		case <-w.upstream.Gate(id).Entered():
		case err := <-ended:
			c.car.t.Fatalf("%s (%s) ended before its gate was opened: %v", id, w.name, err)
		}
	}
}

// work returns once n exchanges were completed; many more are under way then.
func (c *crowd) work(n int) {
	c.car.t.Helper()
	for worker := range workers {
		c.working.Go(func() { c.exchange(worker) })
	}
	for range n {
		select {
		case <-c.done:
		case <-c.car.Done():
			c.car.t.Fatal("the sidecar ended by itself")
		}
	}
}

// exchange makes one exchange after the other, each in another way, until the
// sidecar is killed.
func (c *crowd) exchange(worker int) {
	for n := 0; !c.isKilled(); n++ {
		w := c.ways[(worker+n)%len(c.ways)]
		id := fmt.Sprintf("r%d-w%d-%d", c.round, worker, n)
		receipt, err := w.send(id, w.path+id+w.query)
		switch killed := c.isKilled(); {
		case err == nil && w.tunnel && killed:
			// Its end may be that of the killed sidecar's sockets.
		case err == nil:
			c.complete(id, completed{w.name, w.path + id, receipt})
		case !killed:
			c.car.t.Errorf("%s (%s) before the kill: %v", id, w.name, err)
			return
		}
	}
}

func (c *crowd) complete(id string, done completed) {
	c.mu.Lock()
	c.completed[id] = done
	c.mu.Unlock()
	select {
	case c.done <- struct{}{}:
	case <-c.killed:
	}
}

func (c *crowd) kill() {
	close(c.killed)
	c.car.Kill()
	c.working.Wait()
	for i, w := range c.ways {
		// net/http does not notice that a client has gone whose body it has not read.
		w.upstream.Gate(c.held[i]).Open()
		w.close()
	}
}
