package receipts

import "strings"

// receiptIDWindow is how many receipts back a receipt_id must not come again.
// The writer makes them at random, so a repetition close by is a mistake or a
// forgery; a window keeps the verifier's memory bounded.
const receiptIDWindow = 65_536

// recentIDs remembers the last max ids that it was given.
type recentIDs struct {
	max   int
	known map[string]struct{}
	ring  []string
	next  int // in ring, once that is full
}

func newRecentIDs(n int) recentIDs {
	return recentIDs{max: n, known: make(map[string]struct{})}
}

func (r *recentIDs) has(id string) bool {
	_, ok := r.known[id]
	return ok
}

func (r *recentIDs) add(id string) {
	id = strings.Clone(id) // it may be part of a whole line
	r.known[id] = struct{}{}
	if len(r.ring) < r.max {
		r.ring = append(r.ring, id)
		return
	}
	delete(r.known, r.ring[r.next])
	r.ring[r.next] = id
	r.next = (r.next + 1) % r.max
}

// list is the ids, the oldest first.
func (r *recentIDs) list() []string {
	return append(append(make([]string, 0, len(r.ring)), r.ring[r.next:]...), r.ring[:r.next]...)
}
