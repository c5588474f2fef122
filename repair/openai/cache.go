package openai

import (
	"crypto/sha256"
	"sync"
)

// cache keeps answers that were good, by the digest of their skeleton; the
// oldest goes first. Skeletons hold no values, so one answer serves all texts
// that are malformed in the same way.
type cache struct {
	mu      sync.Mutex
	answers map[[sha256.Size]byte][]byte
	order   [][sha256.Size]byte // a ring
	next    int
}

func newCache(entries int) *cache {
	return &cache{answers: map[[sha256.Size]byte][]byte{}, order: make([][sha256.Size]byte, max(entries, 1))}
}

// longestCached keeps the cache's size bounded: 1,024 answers are 16 MiB at most.
const longestCached = 16 << 10

func (c *cache) get(skeleton string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer, ok := c.answers[sha256.Sum256([]byte(skeleton))]
	return answer, ok
}

func (c *cache) put(skeleton string, answer []byte) {
	if len(answer) > longestCached {
		return
	}
	key := sha256.Sum256([]byte(skeleton))
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.answers[key]; known {
		return
	}
	delete(c.answers, c.order[c.next])
	c.answers[key], c.order[c.next] = answer, key
	c.next = (c.next + 1) % len(c.order)
}
