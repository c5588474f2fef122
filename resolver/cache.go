package resolver

import (
	"container/list"
	"time"
)

// cache remembers entries by name, the least recently used leaving first.
// Resolver.mu guards it.
type cache struct {
	size   int
	byName map[string]*list.Element // of *cached
	order  *list.List               // front is the most recently used
}

type cached struct {
	name  string
	entry *entry
}

func newCache(size int) *cache {
	return &cache{size: size, byName: make(map[string]*list.Element), order: list.New()}
}

// get returns the entry of name if it is still good at now: a stale answer is
// never served.
func (c *cache) get(name string, now time.Time) *entry {
	el, ok := c.byName[name]
	if !ok {
		return nil
	}
	e := el.Value.(*cached).entry
	if !now.Before(e.expires) {
		return nil
	}
	c.order.MoveToFront(el)
	return e
}

// before returns what name led to last, though it be expired; nil if nothing is
// known.
func (c *cache) before(name string) *Pin {
	if el, ok := c.byName[name]; ok {
		return el.Value.(*cached).entry.last()
	}
	return nil
}

// put stores e, even where it is expired from the start: what a name led to is
// compared with what it leads to next.
func (c *cache) put(name string, e *entry) {
	if el, ok := c.byName[name]; ok {
		c.remove(el)
	}
	c.byName[name] = c.order.PushFront(&cached{name, e})
	if c.order.Len() > c.size {
		c.remove(c.order.Back())
	}
}

func (c *cache) remove(el *list.Element) {
	delete(c.byName, c.order.Remove(el).(*cached).name)
}
