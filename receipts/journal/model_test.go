package journal

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/signet-egress/signet/receipts"
)

// TestModel does what a sidecar may do, in any order, restarts, crashes and
// full disks included, and holds the journal against a simple account of it.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "") // one for each run
		if err != nil {
			rt.Fatal(err)
		}
		m := &model{t: t, dir: dir, outcomes: make(map[string]receipts.Outcome)}
		m.open()
		rt.Repeat(map[string]func(*rapid.T){
			"begin":    m.begin,
			"dissolve": m.dissolve,
			"finish":   m.finish,
			"deny":     m.deny,
			"fullDisk": m.fullDisk,
			"close":    func(*rapid.T) { closeJournal(t, m.j); m.lost(); m.open() },
			"crash":    func(*rapid.T) { crash(t, m.j); m.lost(); m.open() },
			"together": m.together,
			"":         m.check,
		})
		m.verify(rt)
		closeJournal(t, m.j)
	})
}

type model struct {
	t        *testing.T
	dir      string
	j        *Journal
	faults   *faults
	opened   []*receipts.Receipt
	outcomes map[string]receipts.Outcome // of what must be on record
	order    []string
}

func (m *model) open() {
	o := options(m.dir)
	m.faults = new(faults)
	o.hooks.commit = m.faults.commit
	m.j = open(m.t, o)
}

// lost is what a restart makes of open intents.
func (m *model) lost() {
	slices.SortFunc(m.opened, func(a, b *receipts.Receipt) int { return strings.Compare(a.ReceiptID, b.ReceiptID) })
	for _, r := range m.opened {
		m.record(r.ReceiptID, receipts.Unknown)
	}
	m.opened = nil
}

func (m *model) record(id string, o receipts.Outcome) {
	m.outcomes[id] = o
	m.order = append(m.order, id)
}

func trace(t *rapid.T) string { return fmt.Sprintf("trace-%d", rapid.IntRange(0, 3).Draw(t, "trace")) }

func (m *model) begin(t *rapid.T) { m.opened = append(m.opened, begin(t, m.j, draft(trace(t)))) }

// take picks an open intent.
func (m *model) take(t *rapid.T) *receipts.Receipt {
	if len(m.opened) == 0 {
		t.Skip("no intent is open")
	}
	i := rapid.IntRange(0, len(m.opened)-1).Draw(t, "intent")
	r := m.opened[i]
	m.opened = slices.Delete(m.opened, i, i+1)
	return r
}

func (m *model) dissolve(t *rapid.T) {
	tunnel, inner := m.take(t), draft(trace(t))
	if err := m.j.Begin(inner, tunnel.ReceiptID); err != nil {
		t.Fatal(err)
	}
	m.opened = append(m.opened, inner)
}

func (m *model) finish(t *rapid.T) {
	r := m.take(t)
	finish(t, m.j, forward(r))
	m.record(r.ReceiptID, receipts.Forwarded)
}

func (m *model) deny(t *rapid.T) {
	r := draft(trace(t))
	r.Outcome = receipts.Denied
	finish(t, m.j, r)
	m.record(r.ReceiptID, receipts.Denied)
}

// together queues receipts that share commits.
func (m *model) together(t *rapid.T) {
	var commits []*Commit
	for range min(len(m.opened), 3) {
		r := m.take(t)
		commits = append(commits, m.j.Finish(forward(r)))
		m.record(r.ReceiptID, receipts.Forwarded)
	}
	for _, c := range commits {
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// fullDisk refuses an intent and lets an open one finish.
func (m *model) fullDisk(t *rapid.T) {
	m.faults.arm(fullWrite, false, 1)
	if err := m.j.Begin(draft("full"), ""); !errors.Is(err, fullWrite.Err) {
		t.Fatalf("Begin on a full disk: %v", err)
	}
	if len(m.opened) > 0 {
		m.finish(t)
	}
	resumed(m.t, m.j)
}

func (m *model) check(t *rapid.T) {
	if got := m.j.OpenIntents(); got != len(m.opened) {
		t.Fatalf("%d open intents, want %d", got, len(m.opened))
	}
}

// verify holds the whole chain against the account.
func (m *model) verify(t *rapid.T) {
	c := verify(t, m.j)
	if len(c.receipts) != len(m.outcomes) {
		t.Fatalf("%d receipts, want %d", len(c.receipts), len(m.outcomes))
	}
	last := int64(0)
	for _, id := range m.order {
		r := c.receipts[id]
		if r == nil || r.Outcome != m.outcomes[id] || r.Chain.Seq <= last {
			t.Fatalf("the exchange %s is %+v after seq %d, want outcome %s", id, r, last, m.outcomes[id])
		}
		last = r.Chain.Seq
	}
}
