package payload

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
)

// Budget bounds the bytes of bodies that are held for inspection at one time,
// over all exchanges. It is safe for concurrent use.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// DefaultBudget is enough for six bodies of the largest size, and for tens of
// thousands of usual ones.
const DefaultBudget = 64 << 20

// NewBudget returns a budget of so many bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Used is how many bytes are held now.
func (b *Budget) Used() int64 { return b.used.Load() }

// Take holds n bytes more, or none; fewer, where n is negative.
func (b *Budget) Take(n int64) bool {
	if b.used.Add(n) > b.limit && n > 0 {
		b.used.Add(-n)
		return false
	}
	return true
}

var (
	errTooLarge = errors.New("the body is larger than what is inspected")
	errNoBudget = errors.New("the bodies that are inspected now leave no room")
)

// held is a body in memory, and what it takes of a budget.
type held struct {
	data   []byte
	budget *Budget
	taken  int64
}

// release gives the budget back; the data is no longer to be used.
func (h *held) release() {
	h.budget.Take(-h.taken)
	h.taken = 0
}

// grow takes n bytes more of the budget.
func (h *held) grow(n int) bool {
	if !h.budget.Take(int64(n)) {
		return false
	}
	h.taken += int64(n)
	return true
}

// read holds a body of up to limit bytes. length is what was declared, negative
// where nothing was. With errTooLarge and errNoBudget the rest of r is not read;
// every other error is r's.
func (h *held) read(r io.Reader, length int64, limit int) error {
	if length > int64(limit) {
		return errTooLarge
	}
	const first = 64 << 10
	size := first
	if length >= 0 {
		size = min(first, int(length)+1) // one more, to find the end without growing
	}
	var buf bytes.Buffer
	for {
		if !h.grow(size) {
			return errNoBudget
		}
		buf.Grow(size)
		_, err := io.CopyN(&buf, r, int64(size))
		h.data = buf.Bytes()
		switch {
		case len(h.data) > limit:
			return errTooLarge
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		size = len(h.data)
	}
}
