package policy

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"

	"github.com/signet-egress/signet/internal/strictyaml"
)

// Limits of RFC 1035, section 2.3.4, without the root label.
const (
	longestName  = 253 // bytes
	longestLabel = 63  // bytes
)

// parseHost makes the one form of a host: a lower-case ASCII name without its
// trailing dot, or a literal, whose address comes with its canonical text. A
// host that two parsers could read as two hosts is refused, never repaired.
func parseHost(s string) (string, netip.Addr, error) {
	if strings.HasPrefix(s, "[") {
		return parseIPv6(s)
	}
	if !needsIDNA(s) {
		return parseASCII(s)
	}
	name, err := mapIDNA(s)
	if err != nil {
		return "", netip.Addr{}, err
	}
	return name, netip.Addr{}, nil
}

// parseIPv6 takes exactly one IPv6 address in brackets (RFC 3986, section
// 3.2.2), without a zone.
func parseIPv6(s string) (string, netip.Addr, error) {
	inner, closed := strings.CutSuffix(s[1:], "]")
	addr, err := netip.ParseAddr(inner)
	switch {
	case !closed || err != nil || !addr.Is6():
		return "", netip.Addr{}, malformed("host", "%s is not one IPv6 address in brackets", strictyaml.Excerpt(s))
	case addr.Zone() != "":
		return "", netip.Addr{}, malformed("host", "an IPv6 zone is refused")
	case addr.Is4In6():
		return "", netip.Addr{}, malformed("host", "an IPv4 address is not written inside IPv6: use %s", addr.Unmap())
	}
	return addr.String(), addr, nil
}

// parseASCII takes a name of letters, digits and hyphens, or an IPv4 address as
// a canonical dotted quad.
func parseASCII(s string) (string, netip.Addr, error) {
	name := strings.ToLower(s)
	if endsInNumber(name) {
		addr, err := netip.ParseAddr(name)
		if err != nil || !addr.Is4() {
			return "", netip.Addr{}, malformed("host", "%s looks like an IPv4 address, which is written as four decimal numbers without leading zeros", strictyaml.Excerpt(s))
		}
		return addr.String(), addr, nil
	}
	name = strings.TrimSuffix(name, ".")
	if err := checkName(name); err != nil {
		return "", netip.Addr{}, err
	}
	return name, netip.Addr{}, nil
}

// endsInNumber follows the host parser of the WHATWG URL standard, which takes
// such a host for an IPv4 address in one of its many spellings; a trailing dot
// does not change that.
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" {
		return false
	}
	if strings.HasPrefix(last, "0x") {
		return true
	}
	for i := range len(last) {
		if last[i] < '0' || last[i] > '9' {
			return false
		}
	}
	return true
}

// checkName holds a lower-case name against RFC 1123, section 2.1, and refuses
// hyphens in the third and fourth place, which are kept for A-labels.
func checkName(name string) error {
	if name == "" {
		return malformed("host", "it is empty")
	}
	if len(name) > longestName {
		return malformed("host", "it is longer than %d bytes", longestName)
	}
	for rest, more := name, true; more; {
		var label string
		label, rest, more = strings.Cut(rest, ".")
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	return nil
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return malformed("host", "it has an empty label (two dots in a row, a leading dot, or more than one trailing dot)")
	case len(label) > longestLabel:
		return malformed("host", "the label %s is longer than %d bytes", strictyaml.Excerpt(label), longestLabel)
	case label[0] == '-' || label[len(label)-1] == '-':
		return malformed("host", "the label %s starts or ends with a hyphen", strictyaml.Excerpt(label))
	case len(label) >= 4 && label[2:4] == "--" && !strings.HasPrefix(label, "xn--"):
		return malformed("host", "the label %s has hyphens in its third and fourth place", strictyaml.Excerpt(label))
	}
	for i := range len(label) {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return malformed("host", "%s has a character that a host name cannot have", strictyaml.Excerpt(label))
		}
	}
	return nil
}

// needsIDNA tells whether a host is or may hold an internationalized label.
func needsIDNA(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return true
		}
		if s[i] == '-' && i >= 3 && s[i-1] == '-' && s[i-2]|0x20 == 'n' && s[i-3]|0x20 == 'x' {
			return true
		}
	}
	return false
}

// mapIDNA turns an internationalized name into A-labels by UTS #46,
// non-transitional. The result is held against every rule for names again,
// since mapping can make dots, digits and letters of other characters, and must
// survive the way to Unicode and back.
func mapIDNA(s string) (string, error) {
	refused := malformed("host", "%s is not a valid internationalized name (UTS #46)", strictyaml.Excerpt(s))
	if len(s) > 4*longestName { // before the work that follows grows with it
		return "", malformed("host", "it is longer than %d bytes", longestName)
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true), idna.Transitional(false))
	name, err := profile.ToASCII(strings.TrimSuffix(s, "."))
	if err != nil {
		return "", refused
	}
	if endsInNumber(name) {
		return "", malformed("host", "%s becomes an IP address when it is mapped", strictyaml.Excerpt(s))
	}
	if err := checkName(name); err != nil {
		return "", err
	}
	unicode, err := profile.ToUnicode(name)
	if err != nil {
		return "", refused
	}
	if back, err := profile.ToASCII(unicode); err != nil || back != name {
		return "", refused
	}
	return name, nil
}
