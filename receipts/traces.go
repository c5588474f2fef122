package receipts

import (
	"container/heap"
	"strings"
)

// MaxTraces is how many traces a chain remembers. Agents choose trace ids, so
// the number must have a bound; it is part of the format, since writer and
// verifier must forget the same ones.
const MaxTraces = 65_536

// Traces links the receipts of one trace within one chain. Writer and verifier
// both keep one and put every receipt into it; a trace too many pushes out the
// one whose last receipt has the lowest seq, which then begins again at hop 1.
// It is not safe for concurrent use.
type Traces struct {
	max  int
	byID map[string]*trace
	used byLastUse
}

type trace struct {
	id, hash string
	hop, seq int64
	at       int // index in used
}

// NewTraces returns an empty memory of MaxTraces traces.
func NewTraces() *Traces { return newTraces(MaxTraces) }

func newTraces(n int) *Traces { return &Traces{max: n, byID: make(map[string]*trace)} }

// Next is the hop of a trace's next receipt and the receipt_hash of the one
// before: 1 and "" for a trace that is not known.
func (t *Traces) Next(traceID string) (hop int64, prev string) {
	last, ok := t.byID[traceID]
	if !ok {
		return 1, ""
	}
	return last.hop + 1, last.hash
}

// Put notes a receipt, and returns the id of the trace that it pushed out, ""
// if none. It keeps copies, not the memory of whole records. To load a memory that was stored, put its traces in any order.
func (t *Traces) Put(traceID string, hop int64, hash string, seq int64) (forgotten string) {
	if last, ok := t.byID[traceID]; ok {
		last.hop, last.hash, last.seq = hop, strings.Clone(hash), seq
		heap.Fix(&t.used, last.at)
		return ""
	}
	last := &trace{id: strings.Clone(traceID), hash: strings.Clone(hash), hop: hop, seq: seq}
	t.byID[last.id] = last
	heap.Push(&t.used, last)
	if len(t.used) <= t.max {
		return ""
	}
	oldest, _ := heap.Pop(&t.used).(*trace)
	delete(t.byID, oldest.id)
	return oldest.id
}

// byLastUse is a heap with the trace that was used longest ago on top.
type byLastUse []*trace

func (h byLastUse) Len() int           { return len(h) }
func (h byLastUse) Less(i, j int) bool { return h[i].seq < h[j].seq }

func (h byLastUse) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *byLastUse) Push(x any) {
	t, _ := x.(*trace)
	t.at = len(*h)
	*h = append(*h, t)
}

func (h *byLastUse) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}
