package policy

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/signet-egress/signet/internal/strictyaml"
)

// hostPattern is a host of a rule: a name, *.name for exactly one label more,
// **.name for one or more, or an IP literal.
type hostPattern struct {
	text   string // canonical, as metrics and name constraints show it
	prefix string // "", "*." or "**."
	name   string // without prefix; "" for a literal
	addr   netip.Addr
}

// parseHostPattern reads a host as policy files write it: by the parser of
// request targets, so that a rule and a request can only mean the same host.
func parseHostPattern(s string) (hostPattern, error) {
	var p hostPattern
	rest := s
	for _, prefix := range []string{"**.", "*."} {
		if after, ok := strings.CutPrefix(s, prefix); ok {
			p.prefix, rest = prefix, after
			break
		}
	}
	switch {
	case s == "*" || s == "**":
		return p, fmt.Errorf("%q alone would match every host; name the hosts, or write a wildcard under a domain, as in \"*.example.com\"", s)
	case strings.Contains(rest, "*"):
		return p, fmt.Errorf("%s: a wildcard is the whole first label: \"*.\" for exactly one label, \"**.\" for one or more", strictyaml.Excerpt(s))
	case strings.ContainsAny(rest, "/@"):
		return p, fmt.Errorf("%s: write the host alone; scheme, port and path have keys of their own", strictyaml.Excerpt(s))
	case strings.Contains(rest, ":") && !strings.HasPrefix(rest, "["):
		if _, err := netip.ParseAddr(rest); err != nil {
			return p, fmt.Errorf("%s: write the host alone; the port goes into ports", strictyaml.Excerpt(s))
		}
		rest = "[" + rest + "]"
	}
	host, addr, err := parseHost(rest)
	if err != nil {
		return p, fmt.Errorf("%s: %w", strictyaml.Excerpt(s), err)
	}
	if addr.IsValid() && p.prefix != "" {
		return p, fmt.Errorf("%s: an IP address has no wildcard", strictyaml.Excerpt(s))
	}
	p.text, p.addr = p.prefix+host, addr
	if !addr.IsValid() {
		p.name = host
	}
	return p, nil
}

func hostTexts(patterns []hostPattern) []string {
	texts := make([]string, len(patterns))
	for i, p := range patterns {
		texts[i] = p.text
	}
	return texts
}

// coversPublicSuffix tells whether names that match belong to whoever registers
// them: a wildcard over a top-level domain, or over a suffix under which the
// public can register (publicsuffix.org), such as github.io.
func (p hostPattern) coversPublicSuffix() bool {
	if p.prefix == "" {
		return false
	}
	suffix, _ := publicsuffix.PublicSuffix(p.name)
	return suffix == p.name
}
