package receipts

// receiptIDWindow is how many receipts back a receipt_id must not come again.
// The writer makes them at random, so a repetition close by is a mistake or a
// forgery; a window keeps the verifier's memory bounded.
const receiptIDWindow = 65_536

// recentIDs remembers the last ids that it was given.
type recentIDs struct {
	known map[string]struct{}
	ring  []string
	next  int
}

func newRecentIDs(n int) recentIDs {
	return recentIDs{known: make(map[string]struct{}), ring: make([]string, n)}
}

func (r *recentIDs) has(id string) bool {
	_, ok := r.known[id]
	return ok
}

func (r *recentIDs) add(id string) {
	delete(r.known, r.ring[r.next])
	r.known[id] = struct{}{}
	r.ring[r.next] = id
	r.next = (r.next + 1) % len(r.ring)
}
