package resolver

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Zone is what differs for the names under a suffix, such as those of a cluster.
// The longest suffix that fits a name counts, and its values stand in the place
// of Config's: they are not added to each other.
type Zone struct {
	// Suffix is the name that all names of the zone end in, by whole labels.
	Suffix string

	// Upstreams are asked for names of the zone; those of the Config by default.
	// No other upstream is ever asked for them.
	Upstreams []string

	// RequireAD is Config.RequireAD for Upstreams of the zone's own.
	RequireAD bool

	// Holes are blocks of addresses that are open to names of the zone, besides
	// the Guard's. They are closed to a name that is an alias of one outside of
	// the zone, whose owner chooses the address.
	Holes []netip.Prefix
}

// zone is a Zone that is ready for use. The one of all other names has an empty
// suffix and no holes.
type zone struct {
	suffix    string
	servers   []*server
	requireAD bool
	holes     []netip.Prefix
}

// holds reports whether name is in z.
func (z *zone) holds(name string) bool {
	before, ok := strings.CutSuffix(name, z.suffix)
	return ok && (z.suffix == "" || before == "" || strings.HasSuffix(before, "."))
}

// opens returns the holes for an answer that came by way of these aliases.
func (z *zone) opens(aliases []string) []netip.Prefix {
	if slices.ContainsFunc(aliases, func(alias string) bool { return !z.holds(alias) }) {
		return nil
	}
	return z.holes
}

// order returns the servers in the order in which one lookup asks them: first
// one that is due to be tried again, then those that are well, then the others.
func (z *zone) order(now time.Time) []*server {
	if len(z.servers) == 1 {
		return z.servers
	}
	var list, last []*server
	probing := false
	for _, s := range z.servers {
		switch s.stand(now, !probing) {
		case well:
			list = append(list, s)
		case due:
			list, probing = slices.Insert(list, 0, s), true
		case passedOver:
			last = append(last, s)
		}
	}
	return append(list, last...)
}

// warnOfForgery tells of AD bits that anybody on the path can set.
func (z *zone) warnOfForgery(log *slog.Logger) {
	if !z.requireAD {
		return
	}
	for _, s := range z.servers {
		if p, ok := s.upstream.(*plain); ok && !p.addr.Addr().IsLoopback() {
			log.Warn("the AD bit is required of an upstream whose answers can be forged on the way; use tls:// or https://, or a validating resolver on loopback",
				"upstream", s.String(), "zone", z.suffix)
		}
	}
}

// fleet holds each upstream once, however many zones name it, so that its
// connections are bounded and its health is known as a whole.
type fleet struct {
	roots    *x509.CertPool
	observer Observer
	log      *slog.Logger
	byName   map[string]*server
}

func (f *fleet) server(u upstream) *server {
	s, ok := f.byName[u.String()]
	if !ok {
		s = &server{upstream: u, observer: f.observer, log: f.log}
		f.byName[u.String()] = s
	}
	return s
}

// servers returns the servers of a list, or every error in it. key is the
// list's in the configuration.
func (f *fleet) servers(key string, urls []string) ([]*server, error) {
	var list []*server
	var errs []error
	for i, url := range urls {
		u, err := parseUpstream(url, f.roots)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s[%d] %q: %w", key, i, url, err))
			continue
		}
		list = append(list, f.server(u))
	}
	return list, errors.Join(errs...)
}

func (f *fleet) system(file string) ([]*server, error) {
	upstreams, err := systemUpstreams(file)
	var list []*server
	for _, u := range upstreams {
		list = append(list, f.server(u))
	}
	return list, err
}

// zones returns the zones of c, the longest suffix first and that of all names
// last, or every error in them.
func (f *fleet) zones(c *Config) ([]*zone, error) {
	rest := &zone{requireAD: c.RequireAD}
	var err error
	if len(c.Upstreams) == 0 {
		rest.servers, err = f.system(resolvConf)
	} else {
		rest.servers, err = f.servers("resolver.upstreams", c.Upstreams)
	}
	errs := []error{err}
	var list []*zone
	for i, in := range c.Zones {
		key := fmt.Sprintf("resolver.zones[%d]", i)
		z := &zone{suffix: canonical(in.Suffix), servers: rest.servers, requireAD: rest.requireAD, holes: normalPrefixes(in.Holes)}
		if len(in.Upstreams) > 0 {
			z.servers, err = f.servers(key+".upstreams", in.Upstreams)
			z.requireAD = in.RequireAD
			errs = append(errs, err)
		}
		switch {
		case !validName(z.suffix):
			errs = append(errs, fmt.Errorf("%s: %q is not a host name in ASCII", key, in.Suffix))
		case slices.ContainsFunc(list, func(other *zone) bool { return other.suffix == z.suffix }):
			errs = append(errs, fmt.Errorf("%s: %q is listed twice; join the two", key, in.Suffix))
		}
		list = append(list, z)
	}
	slices.SortStableFunc(list, func(a, b *zone) int { return len(b.suffix) - len(a.suffix) })
	return append(list, rest), errors.Join(errs...)
}
