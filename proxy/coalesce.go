package proxy

import (
	"log/slog"
	"sync"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
)

// denialsPerSecond is how many denials of one agent get a receipt of their own in
// one second. Above it, an agent that hammers on a closed door could fill the
// disk: the rest of the second becomes one receipt for each reason, with a count.
const denialsPerSecond = 50

// coalescer counts denials and gathers those above the rate.
type coalescer struct {
	journal Journal
	log     *slog.Logger
	now     func() time.Time

	mu      sync.Mutex
	windows map[string]*window // by agent
	writing sync.WaitGroup     // gathered receipts on their way to the disk
}

// window is one second of one agent's denials.
type window struct {
	began  time.Time
	n      int
	groups map[policy.Reason]*receipts.Receipt // what stands for the rest
	timer  *time.Timer
}

// gather returns the id of the receipt that stands for r too, or "" where r gets
// one of its own. r belongs to the coalescer in the first case.
func (c *coalescer) gather(r *receipts.Receipt) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	w := c.windows[r.Agent]
	if w == nil || now.Sub(w.began) >= time.Second {
		c.close(w)
		w = &window{began: now, groups: make(map[policy.Reason]*receipts.Receipt)}
		c.windows[r.Agent] = w
	}
	w.n++
	if w.n <= denialsPerSecond {
		return ""
	}
	reason := policy.Reason(r.Policy.Reason)
	if group := w.groups[reason]; group != nil {
		group.Count++
		return group.ReceiptID
	}
	// Its intent is what a crash within the second leaves.
	if c.journal.Begin(r, "") != nil {
		return ""
	}
	w.groups[reason] = r
	if w.timer == nil {
		w.timer = time.AfterFunc(time.Second, func() { c.expire(r.Agent, w) })
	}
	return r.ReceiptID
}

func (c *coalescer) expire(agent string, w *window) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.windows[agent] != w {
		return
	}
	if left := time.Second - c.now().Sub(w.began); left > 0 {
		w.timer.Reset(left)
		return
	}
	c.close(w)
	delete(c.windows, agent)
}

// close hands what a window has gathered to the journal. c.mu is held.
func (c *coalescer) close(w *window) {
	if w == nil {
		return
	}
	if w.timer != nil {
		w.timer.Stop()
	}
	for _, r := range w.groups {
		commit := c.journal.Finish(r)
		c.writing.Go(func() {
			if err := commit.Wait(); err != nil {
				c.log.Error("receipt of coalesced denials not written", "receipt_id", r.ReceiptID, "error", err)
			}
		})
	}
	clear(w.groups)
}

// flush returns once everything that is gathered is durable.
func (c *coalescer) flush() {
	c.mu.Lock()
	for agent, w := range c.windows {
		c.close(w)
		delete(c.windows, agent)
	}
	c.mu.Unlock()
	c.writing.Wait()
}
