package resolver

import "net/netip"

// embedding is an IPv6 address form that carries an IPv4 address, to which a
// translator or tunnel end on the way may deliver.
type embedding struct {
	prefix netip.Prefix
	what   string
	addr   netip.Addr // the IPv4 address inside
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	teredo     = netip.MustParsePrefix("2001::/32")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	compatible = netip.MustParsePrefix("::/96")
	siit       = netip.MustParsePrefix("::ffff:0:0:0/96")
)

// embeddedIPv4 returns the embedding that a is of, if it is of one. The mapped
// form is not among them, since normal has unwrapped it.
func embeddedIPv4(a netip.Addr) (embedding, bool) {
	if !a.Is6() {
		return embedding{}, false
	}
	b := a.As16()
	tail := netip.AddrFrom4([4]byte(b[12:]))
	switch {
	case nat64.Contains(a):
		return embedding{nat64, "NAT64 well-known prefix [RFC6052]", tail}, true
	case nat64Local.Contains(a):
		return embedding{nat64Local, "NAT64 local-use prefix [RFC8215]", localNAT64(b)}, true
	case teredo.Contains(a):
		return embedding{teredo, "Teredo [RFC4380]", netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}, true
	case sixToFour.Contains(a):
		return embedding{sixToFour, "6to4 [RFC3056]", netip.AddrFrom4([4]byte(b[2:6]))}, true
	case siit.Contains(a):
		return embedding{siit, "IPv4-translated [RFC2765]", tail}, true
	case compatible.Contains(a) && b[12]|b[13]|b[14] != 0:
		return embedding{compatible, "IPv4-compatible [RFC4291]", tail}, true
	case b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe:
		return embedding{netip.PrefixFrom(a, 128), "ISATAP interface identifier [RFC5214]", tail}, true
	}
	return embedding{}, false
}

// localNAT64 decodes the layout of RFC 6052 section 2.2 that the local-use
// prefix was most likely cut to: /96 when the last bits are set, else /48.
func localNAT64(b [16]byte) netip.Addr {
	if b[11]|b[12]|b[13]|b[14]|b[15] != 0 {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]})
}

// translatedIPv4 decodes the layout of RFC 6052 section 2.2: the IPv4 address
// follows the prefix, around byte 8, which is zero. It returns no address for a
// prefix of another length, and for an a with that byte set.
func translatedIPv4(prefix netip.Prefix, a netip.Addr) netip.Addr {
	b := a.As16()
	switch bits := prefix.Bits(); {
	case !a.Is6() || bits > 64 && bits != 96 || bits < 32 || bits%8 != 0:
		return netip.Addr{}
	case bits == 96:
		return netip.AddrFrom4([4]byte(b[12:]))
	case b[8] != 0:
		return netip.Addr{}
	default:
		without8 := [15]byte(append(b[:8:8], b[9:]...))
		return netip.AddrFrom4([4]byte(without8[bits/8:]))
	}
}
