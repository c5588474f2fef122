package mitm

import (
	"crypto/x509"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// constraints are the hosts that an intermediate may speak for, as X.509 name
// constraints can say it (RFC 5280, section 4.2.1.10): a domain with everything
// below it, and single addresses. A pattern's wildcard cannot be said, so that
// *.x permits all of x; what is intercepted is the policy's to decide.
type constraints struct {
	domains []string
	addrs   []netip.Addr
}

func newConstraints(patterns []string) (*constraints, error) {
	c := &constraints{}
	for _, pattern := range patterns {
		if addr, err := netip.ParseAddr(pattern); err == nil && addr.Zone() == "" && !addr.Is4In6() {
			c.addrs = append(c.addrs, addr)
			continue
		}
		domain := strings.TrimPrefix(strings.TrimPrefix(pattern, "**."), "*.")
		if !isName(domain) {
			return nil, fmt.Errorf("intercepted host %q: want a lower-case ASCII name, *.name, **.name or an IP address", pattern)
		}
		c.domains = append(c.domains, domain)
	}
	slices.SortFunc(c.addrs, netip.Addr.Compare)
	c.addrs = slices.Compact(c.addrs)
	slices.SortFunc(c.domains, func(a, b string) int {
		if n := len(a) - len(b); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	c.domains = slices.Compact(c.domains)
	c.prune()
	return c, nil
}

// prune drops domains below another one: each client parses all of them in each
// handshake.
func (c *constraints) prune() {
	kept := make(map[string]bool, len(c.domains))
	c.domains = slices.DeleteFunc(c.domains, func(domain string) bool {
		if under(domain, kept) {
			return true
		}
		kept[domain] = true
		return false
	})
}

// under reports whether name or a parent of it is in domains.
func under(name string, domains map[string]bool) bool {
	for {
		if domains[name] {
			return true
		}
		_, parent, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		name = parent
	}
}

// namesEach is how many names one intermediate may speak for: some 40 bytes each
// in every handshake.
const namesEach = 32

// parts yields constraints of at most namesEach names that together are c; one
// without names where c has none.
func (c *constraints) parts() iter.Seq[*constraints] {
	return func(yield func(*constraints) bool) {
		rest := *c
		for first := true; first || len(rest.domains)+len(rest.addrs) > 0; first = false {
			part := &constraints{domains: rest.domains[:min(namesEach, len(rest.domains))]}
			rest.domains = rest.domains[len(part.domains):]
			part.addrs = rest.addrs[:min(namesEach-len(part.domains), len(rest.addrs))]
			rest.addrs = rest.addrs[len(part.addrs):]
			if !yield(part) {
				return
			}
		}
	}
}

// permit reports whether a leaf for host would verify.
func (c *constraints) permit(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return slices.Contains(c.addrs, addr)
	}
	return isName(host) && slices.ContainsFunc(c.domains, func(domain string) bool {
		return host == domain || strings.HasSuffix(host, "."+domain)
	})
}

// apply writes the constraints into an intermediate's template. A kind of name
// that is permitted nowhere is excluded, since a kind that is not mentioned is
// not constrained at all.
func (c *constraints) apply(template *x509.Certificate) {
	template.PermittedDNSDomainsCritical = true // all constraints, despite the field's name
	template.PermittedDNSDomains = c.domains
	if len(c.domains) == 0 {
		template.ExcludedDNSDomains = []string{""}
	}
	for _, addr := range c.addrs {
		template.PermittedIPRanges = append(template.PermittedIPRanges, network(netip.PrefixFrom(addr, addr.BitLen())))
	}
	if len(c.addrs) == 0 {
		template.ExcludedIPRanges = []*net.IPNet{
			network(netip.PrefixFrom(netip.IPv4Unspecified(), 0)),
			network(netip.PrefixFrom(netip.IPv6Unspecified(), 0)),
		}
	}
}

func network(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// isName is a guard, not a parser: policy has parsed the name. It keeps out what
// would mean something else in a certificate: wildcards, empty labels, and
// anything that is not ASCII.
func isName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
