package resolver

import (
	"net/netip"
	"slices"
)

// Guard decides which addresses may be dialled: those that the registries call
// globally reachable, and the operator's holes. It is immutable.
type Guard struct {
	holes     []netip.Prefix
	own       []netip.AddrPort
	wildcards []uint16 // ports on which Signet listens on every address
	local     []netip.Addr
}

// NewGuard returns a Guard.
//
// holes are the blocks that the operator has opened (addresses.allow). own are
// the addresses and ports of Signet's own listeners, which no hole opens; an
// unspecified address means every address of the machine. local are the
// addresses of its interfaces: other than loopback, they are open only to a
// hole of that single address.
func NewGuard(holes []netip.Prefix, own []netip.AddrPort, local []netip.Addr) *Guard {
	g := &Guard{}
	for _, p := range holes {
		g.holes = append(g.holes, normalPrefix(p))
	}
	for _, ap := range own {
		a := normal(ap.Addr())
		if a.IsUnspecified() {
			g.wildcards = append(g.wildcards, ap.Port())
			continue
		}
		g.own = append(g.own, netip.AddrPortFrom(a, ap.Port()))
	}
	for _, a := range local {
		g.local = append(g.local, normal(a))
	}
	return g
}

// Address judges a regardless of the port. A denied class is denied even where
// only the IPv4 address embedded in a is of that class.
func (g *Guard) Address(a netip.Addr) Verdict {
	a = normal(a)
	v := classify(a)
	switch {
	case nat64.Contains(a) && v.Class == ClassIPv4Embedded:
		return g.translated(a, v)
	case closed(v.Class):
		return v
	case slices.Contains(g.local, a) && !a.IsLoopback() && !slices.Contains(g.holes, netip.PrefixFrom(a, a.BitLen())):
		return Verdict{Class: ClassOwnAddress, Block: netip.PrefixFrom(a, a.BitLen()), What: "an interface of this machine"}
	}
	v.Allowed = v.Allowed || g.open(a)
	return v
}

// translated judges an address of the NAT64 well-known prefix, which an
// IPv6-only network with DNS64 needs: it takes a hole for the prefix and an
// allowed IPv4 address behind it.
func (g *Guard) translated(a netip.Addr, v Verdict) Verdict {
	if !g.open(a) {
		return v
	}
	e, _ := embeddedIPv4(a)
	inner := g.Address(e.addr)
	if !inner.Allowed {
		return inner
	}
	v.Allowed = true
	return v
}

// Endpoint judges an address and port: Address, and no listener of Signet's own.
func (g *Guard) Endpoint(ap netip.AddrPort) Verdict {
	v := g.Address(ap.Addr())
	if v.Allowed && g.listens(ap.Addr(), ap.Port()) {
		a := normal(ap.Addr())
		return Verdict{Class: ClassOwnPort, Block: netip.PrefixFrom(a, a.BitLen()), What: "a listener of Signet's own"}
	}
	return v
}

// listens reports whether Signet itself listens on a and port, or on the IPv4
// address inside of a.
func (g *Guard) listens(a netip.Addr, port uint16) bool {
	if !g.ownPort(port) {
		return false
	}
	a = normal(a)
	if e, ok := embeddedIPv4(a); ok && g.listens(e.addr, port) {
		return true
	}
	if slices.Contains(g.own, netip.AddrPortFrom(a, port)) {
		return true
	}
	return slices.Contains(g.wildcards, port) && (a.IsLoopback() || slices.Contains(g.local, a))
}

// ownPort reports whether any listener of Signet's own has this port, so that
// all others cost nothing more.
func (g *Guard) ownPort(port uint16) bool {
	return slices.Contains(g.wildcards, port) ||
		slices.ContainsFunc(g.own, func(ap netip.AddrPort) bool { return ap.Port() == port })
}

func (g *Guard) open(a netip.Addr) bool {
	return slices.ContainsFunc(g.holes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// closed reports whether no hole opens a class: an address of it has no host of
// its own, or leads to one that its form hides, or to the machine's credentials.
func closed(class string) bool {
	switch class {
	case ClassInvalid, ClassUnspecified, ClassBroadcast, ClassMulticast, ClassIPv4Embedded,
		ClassMetadata, ClassOwnPort, ClassOwnAddress:
		return true
	}
	return false
}

// normalPrefix unwraps a prefix of IPv4-mapped addresses and masks its host bits.
func normalPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
