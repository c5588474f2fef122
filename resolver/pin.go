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

	key string
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
}

// entry is an answer, or the lack of one, for as long as it may be used.
type entry struct {
	pin     *Pin // nil when err is not
	err     *LookupError
	expires time.Time

	// judged holds the verdict of the Guard that was asked last. In the steady
	// state there is one Guard, so a cached pin costs no allocation.
	judged atomic.Pointer[judgement]
}

type judgement struct {
	guard  *Guard
	denied *DeniedError
}

// newEntry makes the entry of an answer for name.
func newEntry(name string, a answer, now time.Time) *entry {
	p := &Pin{
		Host:     name,
		Addrs:    a.addrs,
		Resolver: a.resolver,
		CNAME:    a.cname,
		TTL:      a.ttl,
		Expires:  now.Add(a.ttl),
		key:      addressKey(a.addrs),
	}
	return &entry{pin: p, expires: p.Expires}
}

// judge returns the pin if g allows every address of it at port.
func (e *entry) judge(g *Guard, port uint16) (*Pin, error) {
	if e.err != nil {
		return nil, e.err
	}
	j := e.judged.Load()
	if j == nil || j.guard != g {
		j = &judgement{guard: g, denied: firstDenied(e.pin, g)}
		e.judged.Store(j)
	}
	if j.denied != nil {
		return nil, j.denied
	}
	if g.ownPort(port) {
		for _, a := range e.pin.Addrs {
			if v := g.Endpoint(netip.AddrPortFrom(a, port)); !v.Allowed {
				return nil, &DeniedError{Host: e.pin.Host, Addr: a, Verdict: v}
			}
		}
	}
	return e.pin, nil
}

// firstDenied returns the first address that poisons the whole answer. Keeping
// the good ones would let a name mix both and wait for a fall-back.
func firstDenied(p *Pin, g *Guard) *DeniedError {
	for _, a := range p.Addrs {
		if v := g.Address(a); !v.Allowed {
			return &DeniedError{Host: p.Host, Addr: a, Verdict: v}
		}
	}
	return nil
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
