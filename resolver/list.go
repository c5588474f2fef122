package resolver

import (
	"cmp"
	"slices"
)

// Pins lists what is remembered and has not expired, by host. A pin in it says
// what a name leads to, not that a policy would let it be dialled.
func (r *Resolver) Pins() []*Pin {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	var pins []*Pin
	for el := r.cache.order.Front(); el != nil; el = el.Next() {
		if e := el.Value.(*cached).entry; e.pin != nil && e.expires.After(now) {
			pins = append(pins, e.pin)
		}
	}
	slices.SortFunc(pins, func(a, b *Pin) int { return cmp.Compare(a.Host, b.Host) })
	return pins
}
