package resolver

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Pin is a name's resolved and classified addresses: the only thing that a
// Dialer dials. It is shared between exchanges and must not be changed.
type Pin struct {
	Host     string        // the name or literal that was asked for, lower case, without trailing dot
	Addrs    []netip.Addr  // the addresses, in the order in which they are dialled
	Resolver string        // the upstream that answered; "static" for Config.Hosts; empty for a literal
	CNAME    []string      // the aliases that were followed, in order
	TTL      time.Duration // 0, or 1 s to 300 s; after TTL 0 the pin serves one decision only
	Expires  time.Time     // when the name must be pinned again

	// Rebound marks rebinding: the name's answer before this one had public
	// addresses only, and this one has others, which a hole lets pass.
	Rebound bool

	key   string
	holes []netip.Prefix // open to Host, besides the Guard's
}

// Key identifies the set of addresses: equal for two pins exactly when they
// hold the same addresses, in whatever order.
func (p *Pin) Key() string { return p.key }

// answer is what DNS, the static hosts or a literal say of a name, before any
// Guard has judged it. It is immutable.
type answer struct {
	addrs    []netip.Addr
	cname    []string
	resolver string
	ttl      time.Duration
	holes    []netip.Prefix // open to the name, besides the Guard's
}

// entry is an answer, or the lack of one, for as long as it may be used.
type entry struct {
	pin     *Pin // nil when err is not
	err     *LookupError
	expires time.Time
	before  *Pin // what the name led to before; nil if that is not known

	// judged holds the verdict of the Guard that was asked last. In the steady
	// state there is one Guard, so a cached pin costs no allocation.
	judged  atomic.Pointer[judgement]
	noticed atomic.Bool // rebinding has been told of
}

// newEntry makes the entry of an answer for name; before is what it led to last.
func newEntry(name string, a answer, before *Pin, now time.Time) *entry {
	p := &Pin{
		Host:     name,
		Addrs:    a.addrs,
		Resolver: a.resolver,
		CNAME:    a.cname,
		TTL:      a.ttl,
		Expires:  now.Add(a.ttl),
		key:      addressKey(a.addrs),
		holes:    a.holes,
	}
	return &entry{pin: p, expires: p.Expires, before: before}
}

// last is what the name led to last, however long ago.
func (e *entry) last() *Pin {
	if e.pin != nil {
		return e.pin
	}
	return e.before
}

func addressKey(addrs []netip.Addr) string {
	sorted := slices.SortedFunc(slices.Values(addrs), netip.Addr.Compare)
	var b strings.Builder
	for i, a := range sorted {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(a.String())
	}
	return b.String()
}
