package resolver

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
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
	// Upstreams are the recursive resolvers to ask, tried in order, those that do
	// not answer after the others:
	//
	//	udp://IP:PORT                        port 53 by default; UDP, and TCP for
	//	                                     what is truncated or no exact echo
	//	tls://IP:PORT?name=NAME              DNS over TLS (RFC 7858), port 853
	//	https://IP:PORT/dns-query?name=NAME  DNS over HTTPS (RFC 8484), port 443
	//
	// By IP only: a resolver's own name would have to be resolved. NAME is what
	// its certificate must be for; the IP address itself by default. The default
	// list is the nameserver lines of /etc/resolv.conf; its search list is never
	// used.
	Upstreams []string

	// Roots are what the certificates of Upstreams are verified against. Default:
	// the system's.
	Roots *x509.CertPool

	// RequireAD refuses answers without the AD bit: those that the upstream has
	// not validated by DNSSEC (RFC 4035, section 3.2.3), names that are not signed
	// included. The bit says no more than what the path to the upstream is worth.
	RequireAD bool

	// Zones are suffixes with upstreams, or with open addresses, of their own.
	Zones []Zone

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

	// Logger is told of rebinding, and of upstreams that do not answer. May be nil.
	Logger *slog.Logger

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
	// Rebound is called once for each answer that is noticed as rebinding: see
	// Pin.Rebound. class is that of the address that it led to; allowed says
	// whether a hole let it pass.
	Rebound(class string, allowed bool)
	// Query is called for each question put to an upstream, which is named as in
	// Pin.Resolver. result is answered, refused, timeout or failed; refused is an
	// answer with an error code, or without the AD bit where that is required.
	Query(upstream, result string)
	// Upstream is called for each upstream by New, and whenever it is passed over
	// for not answering (up is false) or answers again.
	Upstream(upstream string, up bool)
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Lookup(string, time.Duration) {}
func (nobody) Cache(bool)                   {}
func (nobody) Denied(string)                {}
func (nobody) Rebound(string, bool)         {}
func (nobody) Query(string, string)         {}
func (nobody) Upstream(string, bool)        {}

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
