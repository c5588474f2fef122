package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Values of resolver.dnssec.
const (
	dnssecOff = "off"
	// RequireAD refuses answers without the AD bit.
	RequireAD = "require-ad"
)

func (l *loader) checkResolver(r *Resolver) {
	l.checkUpstreams("resolver.upstreams", r.Upstreams)
	l.checkZones(r.Zones)
	l.want("resolver.dnssec", oneOf(r.DNSSEC, dnssecOff, RequireAD))
	for i, p := range r.NAT64 {
		l.want(fmt.Sprintf("resolver.nat64[%d]", i), pref64(p))
	}
	l.checkHosts(r.Hosts)
}

func (l *loader) checkUpstreams(key string, upstreams []string) {
	for i, upstream := range upstreams {
		l.want(fmt.Sprintf("%s[%d]", key, i), dnsURL(upstream))
	}
}

func (l *loader) checkZones(zones []Zone) {
	seen := make(map[string]bool)
	for i, z := range zones {
		at := fmt.Sprintf("resolver.zones[%d]", i)
		folded := strings.TrimSuffix(strings.ToLower(z.Suffix), ".")
		switch {
		case z.Suffix == "":
			l.want(at+".suffix", errors.New("is missing; write the end of the names, such as svc.cluster.local"))
		case !hostname(folded):
			l.want(at+".suffix", fmt.Errorf("%q is not the end of host names; write it without a wildcard or a leading dot, such as svc.cluster.local", z.Suffix))
		case seen[folded]:
			l.want(at+".suffix", fmt.Errorf("%s stands in the list twice; put all of it into one entry", z.Suffix))
		case len(z.Upstreams) == 0 && len(z.Addresses.Allow) == 0:
			l.want(at, errors.New("changes nothing; give it upstreams, or addresses.allow"))
		case len(z.Upstreams) == 0 && z.DNSSEC != "":
			l.want(at+".dnssec", errors.New("needs upstreams beside it; for those of all names resolver.dnssec counts"))
		}
		seen[folded] = true
		l.checkUpstreams(at+".upstreams", z.Upstreams)
		if z.DNSSEC != "" {
			l.want(at+".dnssec", oneOf(z.DNSSEC, dnssecOff, RequireAD))
		}
	}
}

func (l *loader) checkHosts(hosts []Host) {
	seen := make(map[string]bool)
	for i, h := range hosts {
		at := fmt.Sprintf("resolver.hosts[%d]", i)
		switch folded := strings.TrimSuffix(strings.ToLower(h.Name), "."); {
		case h.Name == "":
			l.want(at+".name", errors.New("is missing"))
		case len(h.Addresses) == 0:
			l.want(at+".addresses", fmt.Errorf("is missing; %s needs at least one IP address", h.Name))
		case seen[folded]:
			l.want(at+".name", fmt.Errorf("%s stands in the list twice; put all its addresses into one entry", h.Name))
		default:
			seen[folded] = true
		}
	}
}

// dnsURL says what is wrong with an upstream.
func dnsURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains([]string{"udp", "tls", "https"}, u.Scheme) || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q is not a resolver; write udp://IP:PORT, tls://IP:PORT?name=NAME or https://IP:PORT/dns-query?name=NAME", text)
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil {
		remedy := "write its IP address"
		if u.Scheme != "udp" {
			remedy += ", and ?name=" + u.Hostname() + " behind it"
		}
		return fmt.Errorf("%q names the resolver %q, which would itself have to be resolved; %s", text, u.Hostname(), remedy)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%q has no port from 1 to 65535", text)
		}
	}
	if u.Path != "" && u.Scheme != "https" {
		return fmt.Errorf("%q has a path, which only https has; leave it out", text)
	}
	return certificateName(u)
}

// certificateName says what is wrong behind the question mark of an upstream.
func certificateName(u *url.URL) error {
	if u.RawQuery == "" && !u.ForceQuery {
		return nil
	}
	if u.Scheme == "udp" {
		return fmt.Errorf("%q has a name, for which there is no certificate over udp; leave it out, or write tls or https", u)
	}
	if name, ok := strings.CutPrefix(u.RawQuery, "name="); !ok || !hostname(strings.ToLower(name)) {
		return fmt.Errorf("%q has something other than name=NAME behind the question mark; write the host name that the resolver's certificate is for", u)
	}
	return nil
}

// pref64 holds a prefix against RFC 6052, section 2.2.
func pref64(p netip.Prefix) error {
	if !p.Addr().Is6() || p.Addr().Is4In6() || !slices.Contains([]int{32, 40, 48, 56, 64, 96}, p.Bits()) {
		return fmt.Errorf("%s is not an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, as NAT64 has them", p)
	}
	return nil
}

// hostname reports whether name is an ASCII host name in lower case.
func hostname(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, letters) != "" {
			return false
		}
	}
	return len(name) <= 253
}
