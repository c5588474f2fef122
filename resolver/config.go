package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	resolvConf         = "/etc/resolv.conf"
	defaultTimeout     = 5 * time.Second
	maxTimeout         = 30 * time.Second
	defaultCacheSize   = 4096
	maxCacheSize       = 1 << 20
	staticResolverName = "static"
)

// Config configures a Resolver. The zero value asks the nameservers of
// /etc/resolv.conf.
type Config struct {
	// Upstreams are the recursive resolvers to ask, as udp://IP:PORT (port 53
	// may be left out); tried in order. UDP first, TCP for an answer that is
	// truncated or not an exact echo. By IP only: a resolver's own name would
	// have to be resolved. Default: the nameserver lines of /etc/resolv.conf;
	// its search list is never used.
	Upstreams []string

	// Hosts are static entries, which no upstream is asked about. They are
	// classified like any other answer.
	Hosts []Host

	// Timeout bounds one lookup with all its tries. Default 5 s, at most 30 s.
	Timeout time.Duration

	// CacheSize bounds the names that are remembered, the least recently used
	// leaving first. Default 4096, at most 1,048,576.
	CacheSize int

	// Observer is told what happens, for metrics. May be nil.
	Observer Observer

	// Now is the clock by which answers expire. Default time.Now.
	Now func() time.Time
}

// Host is one static entry: a name, single labels included, and its addresses.
type Host struct {
	Name      string
	Addresses []netip.Addr
}

// Observer is told what a Resolver does. All labels are closed sets. Its methods
// are called on the hot path, by many goroutines.
type Observer interface {
	// Lookup is called once for each lookup at the upstreams. result is
	// answered, not-found, timeout or failed.
	Lookup(result string, took time.Duration)
	// Cache is called once for each pin asked for by name or literal.
	Cache(hit bool)
	// Denied is called for each pin that was refused; class is one of Classes.
	Denied(class string)
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Lookup(string, time.Duration) {}
func (nobody) Cache(bool)                   {}
func (nobody) Denied(string)                {}

// parseUpstreams returns the servers of c, or every error in them.
func parseUpstreams(addresses []string) ([]upstream, error) {
	if len(addresses) == 0 {
		return systemUpstreams(resolvConf)
	}
	var list []upstream
	var errs []error
	for i, s := range addresses {
		u, err := parseUpstream(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("resolver.upstreams[%d] %q: %w", i, s, err))
			continue
		}
		list = append(list, u)
	}
	return list, errors.Join(errs...)
}

func parseUpstream(s string) (upstream, error) {
	scheme, address, ok := strings.Cut(s, "://")
	if !ok || scheme != "udp" {
		return nil, errors.New("must have the form udp://IP:PORT")
	}
	if ap, err := netip.ParseAddrPort(address); err == nil && ap.Port() != 0 {
		return newPlain(ap), nil
	}
	if a, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil {
		return newPlain(netip.AddrPortFrom(a, 53)), nil
	}
	return nil, errors.New("must name the server by IP address, with a port from 1 to 65535 or none; an IPv6 address with a port stands in brackets")
}

func systemUpstreams(file string) ([]upstream, error) {
	const remedy = "list the servers under resolver.upstreams, as udp://IP:PORT"
	c, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the nameservers of this machine: %w; %s", err, remedy)
	}
	var list []upstream
	for _, s := range c.Servers {
		if a, err := netip.ParseAddr(s); err == nil {
			list = append(list, newPlain(netip.AddrPortFrom(a, 53)))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s names no nameserver; %s", file, remedy)
	}
	return list, nil
}

// parseHosts returns the static answers by name, or every error in them.
func parseHosts(hosts []Host) (map[string]answer, error) {
	byName := make(map[string]answer, len(hosts))
	var errs []error
	for i, h := range hosts {
		name := canonical(h.Name)
		_, twice := byName[name]
		switch {
		case twice:
			errs = append(errs, fmt.Errorf("resolver.hosts[%d]: %q is listed twice; join their addresses", i, h.Name))
			continue
		case !validName(name):
			errs = append(errs, fmt.Errorf("resolver.hosts[%d]: %q is not a host name in ASCII", i, h.Name))
			continue
		case len(h.Addresses) == 0:
			errs = append(errs, fmt.Errorf("resolver.hosts[%d]: %q has no addresses", i, h.Name))
			continue
		}
		a := answer{resolver: staticResolverName, ttl: maxTTL}
		for _, addr := range h.Addresses {
			if !addr.IsValid() || addr.Zone() != "" {
				errs = append(errs, fmt.Errorf("resolver.hosts[%d]: %q has the address %q, which is not an IP address without zone", i, h.Name, addr))
			}
			a.addrs = append(a.addrs, addr.Unmap())
		}
		byName[name] = a
	}
	return byName, errors.Join(errs...)
}
