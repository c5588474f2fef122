package resolver

import "net/netip"

//go:generate go run ./internal/gen

// The classes of an address. The set is closed, so a class can be a metric
// label; docs/resolver.md says what each of them means.
const (
	ClassPublic        = "public"
	ClassThisNetwork   = "this-network"
	ClassUnspecified   = "unspecified"
	ClassPrivateUse    = "private-use"
	ClassUniqueLocal   = "unique-local"
	ClassShared        = "shared"
	ClassLoopback      = "loopback"
	ClassLinkLocal     = "link-local"
	ClassProtocol      = "protocol"
	ClassDocumentation = "documentation"
	ClassBenchmarking  = "benchmarking"
	ClassReserved      = "reserved"
	ClassBroadcast     = "broadcast"
	ClassMulticast     = "multicast"
	ClassDeprecated    = "deprecated"
	ClassDiscard       = "discard"
	ClassUnallocated   = "unallocated"
	ClassIPv4Embedded  = "ipv4-embedded"
	ClassMetadata      = "metadata"
	ClassOwnPort       = "own-port"
	ClassOwnAddress    = "own-address"
	ClassAPIServer     = "api-server"
	ClassInvalid       = "invalid"
)

// Classes returns every class, in the order of docs/resolver.md.
func Classes() []string {
	return []string{
		ClassPublic, ClassPrivateUse, ClassUniqueLocal, ClassShared, ClassLoopback, ClassLinkLocal,
		ClassThisNetwork, ClassProtocol, ClassDocumentation, ClassBenchmarking, ClassReserved,
		ClassDeprecated, ClassDiscard, ClassUnallocated, ClassIPv4Embedded, ClassUnspecified,
		ClassBroadcast, ClassMulticast, ClassMetadata, ClassOwnPort, ClassOwnAddress, ClassAPIServer, ClassInvalid,
	}
}

// Verdict says what an address is and whether it may be dialled.
type Verdict struct {
	Allowed bool
	Class   string       // one of Classes
	Block   netip.Prefix // the block that gave the class; a single address for metadata, own-port, own-address and api-server
	What    string       // the block's name and source, for a person
}

// block is one entry of the special-purpose registries.
type block struct {
	prefix netip.Prefix
	class  string
	what   string
}

// Blocks that the special-purpose registries do not list.
var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	outside6      = block{netip.MustParsePrefix("::/0"), ClassUnallocated, "outside of global unicast 2000::/3 [RFC4291]"}
	others        = []block{
		{netip.MustParsePrefix("224.0.0.0/4"), ClassMulticast, "IPv4 multicast [RFC5771]"},
		{netip.MustParsePrefix("ff00::/8"), ClassMulticast, "IPv6 multicast [RFC4291]"},
	}
)

// classify says what a is, from the registries alone. It is the only place that
// does: netip's IsPrivate and IsGlobalUnicast follow neither the registries nor
// the embeddings. a must have been through normal.
func classify(a netip.Addr) Verdict {
	if !a.IsValid() {
		return Verdict{Class: ClassInvalid, What: "not an address"}
	}
	e, embedded := embeddedIPv4(a)
	for _, m := range []netip.Addr{a, e.addr} {
		if what, ok := metadata[m]; ok {
			return Verdict{Class: ClassMetadata, Block: netip.PrefixFrom(m, m.BitLen()), What: what}
		}
	}
	for _, b := range others {
		if b.prefix.Contains(a) {
			return Verdict{Class: b.class, Block: b.prefix, What: b.what}
		}
	}
	if embedded {
		return Verdict{Class: ClassIPv4Embedded, Block: e.prefix, What: e.what}
	}
	b, found := lookup(a)
	if a.Is6() && !globalUnicast.Contains(a) && (!found || b.class == ClassPublic) {
		b, found = outside6, true
	}
	if !found {
		return Verdict{Allowed: true, Class: ClassPublic, Block: netip.PrefixFrom(a, a.BitLen())}
	}
	return Verdict{Allowed: b.class == ClassPublic, Class: b.class, Block: b.prefix, What: b.what}
}

// lookup finds the most specific registry block that holds a.
func lookup(a netip.Addr) (block, bool) {
	table := special4
	if a.Is6() {
		table = special6
	}
	for _, b := range table {
		if b.prefix.Contains(a) {
			return b, true
		}
	}
	return block{}, false
}

// normal strips what netip.Prefix.Contains would trip over: the IPv4-mapped
// form (CVE-2024-24790) and the zone.
func normal(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
