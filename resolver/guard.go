package resolver

import (
	"net/netip"
	"slices"
)

// Guard decides which addresses may be dialled: those that the registries call
// globally reachable, and the operator's holes. It is immutable.
type Guard struct {
	holes     []netip.Prefix
	nat64     []netip.Prefix // of this network, the longest first
	own       []netip.AddrPort
	wildcards []uint16 // ports on which Signet listens on every address
	local     []netip.Addr
	apiServer netip.Addr // of the cluster; not valid where there is none
}

// NewGuard returns a Guard.
//
// holes are the blocks that the operator has opened (addresses.allow). own are
// the addresses and ports of Signet's own listeners, which no hole opens; an
// unspecified address means every address of the machine. local are the
// addresses of its interfaces: other than loopback, they are open only to a
// hole of that single address.
func NewGuard(holes []netip.Prefix, own []netip.AddrPort, local []netip.Addr) *Guard {
	g := &Guard{holes: normalPrefixes(holes)}
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

// WithNAT64 returns a copy of g that knows the NAT64 prefixes of this network
// (Pref64, RFC 6052 section 2.2: 32, 40, 48, 56, 64 or 96 bits). An address
// within one of them is judged as the IPv4 address that it leads to; of a prefix
// of any other length every address is denied.
func (g *Guard) WithNAT64(prefixes []netip.Prefix) *Guard {
	with := *g
	with.nat64 = nil
	for _, p := range prefixes {
		with.nat64 = append(with.nat64, p.Masked())
	}
	slices.SortFunc(with.nat64, func(a, b netip.Prefix) int { return b.Bits() - a.Bits() })
	return &with
}

// WithAPIServer returns a copy of g that knows the address of the cluster's API
// server, which is open only to a hole of that single address: whoever opens the
// range of a cluster's services means those.
func (g *Guard) WithAPIServer(a netip.Addr) *Guard {
	with := *g
	with.apiServer = normal(a)
	return &with
}

// Address judges a regardless of the port. A denied class is denied even where
// only the IPv4 address embedded in a is of that class.
func (g *Guard) Address(a netip.Addr) Verdict { return g.address(a, nil) }

// address is Address with more holes, those of the zone that the name is in.
func (g *Guard) address(a netip.Addr, holes []netip.Prefix) Verdict {
	a = normal(a)
	v := classify(a)
	single := netip.PrefixFrom(a, a.BitLen())
	named := slices.Contains(g.holes, single) || slices.Contains(holes, single)
	switch {
	case v.Class == ClassMetadata:
		return v
	case g.apiServer.IsValid() && a == g.apiServer && !named:
		return Verdict{Class: ClassAPIServer, Block: single, What: "the cluster's API server"}
	case slices.Contains(g.local, a) && !a.IsLoopback() && !named:
		return Verdict{Class: ClassOwnAddress, Block: single, What: "an interface of this machine"}
	}
	if inner, ok := g.translated(a, holes); ok {
		return g.address(inner, holes)
	}
	if !closed(v.Class) && !v.Allowed {
		v.Allowed = contains(g.holes, a) || contains(holes, a)
	}
	return v
}

// translated returns the IPv4 address that a translator of this network takes a
// to: for the prefixes that are configured, and for the well-known one where a
// hole for it says that there is a translator. It is no address, which is
// denied, where a does not follow the prefix's layout.
func (g *Guard) translated(a netip.Addr, holes []netip.Prefix) (netip.Addr, bool) {
	for _, p := range g.nat64 {
		if p.Contains(a) {
			return translatedIPv4(p, a), true
		}
	}
	if nat64.Contains(a) && (contains(g.holes, a) || contains(holes, a)) {
		return translatedIPv4(nat64, a), true
	}
	return netip.Addr{}, false
}

// Endpoint judges an address and port: Address, and no listener of Signet's own.
func (g *Guard) Endpoint(ap netip.AddrPort) Verdict { return g.endpoint(ap, nil) }

func (g *Guard) endpoint(ap netip.AddrPort, holes []netip.Prefix) Verdict {
	v := g.address(ap.Addr(), holes)
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
	if inner, ok := g.translated(a, nil); ok && g.listens(inner, port) {
		return true
	}
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

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// closed reports whether no hole opens a class: an address of it has no host of
// its own, or leads to one that its form hides, or to the machine's credentials.
func closed(class string) bool {
	switch class {
	case ClassInvalid, ClassUnspecified, ClassBroadcast, ClassMulticast, ClassIPv4Embedded,
		ClassMetadata, ClassOwnPort, ClassOwnAddress, ClassAPIServer:
		return true
	}
	return false
}

func normalPrefixes(prefixes []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range prefixes {
		out = append(out, normalPrefix(p))
	}
	return out
}

// normalPrefix unwraps a prefix of IPv4-mapped addresses and masks its host bits.
func normalPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
