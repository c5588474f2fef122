package resolver

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// parseUpstream reads an upstream of the configuration, as Config.Upstreams
// describes it. An encrypted one is verified against roots.
func parseUpstream(s string, roots *x509.CertPool) (upstream, error) {
	scheme, rest, _ := strings.Cut(s, "://")
	rest, query, _ := strings.Cut(rest, "?")
	address, path, hasPath := strings.Cut(rest, "/")
	name, err := certificateName(query)
	if err != nil {
		return nil, err
	}
	port, known := map[string]uint16{"udp": 53, "tls": 853, "https": 443}[scheme]
	switch {
	case !known:
		return nil, errors.New("must have the form udp://IP:PORT, tls://IP:PORT?name=NAME or https://IP:PORT/dns-query?name=NAME")
	case scheme == "udp" && name != "":
		return nil, errors.New("has a name, for which there is no certificate over udp; leave it out")
	case scheme != "https" && hasPath:
		return nil, errors.New("has a path, which only https has; leave it out")
	case !validPath(path):
		return nil, errors.New("has a path that is not of letters, digits and -._~/ alone; most servers have /dns-query")
	}
	ap, err := parseEndpoint(address, port)
	switch {
	case err != nil:
		return nil, err
	case scheme == "udp":
		return newPlain(ap), nil
	case scheme == "tls":
		return newSecure(ap, name, roots), nil
	case !hasPath:
		path = "dns-query"
	}
	return newHTTPS(ap, name, "/"+path, roots), nil
}

// certificateName returns the name that the server's certificate must be for;
// empty for its IP address.
func certificateName(query string) (string, error) {
	if query == "" {
		return "", nil
	}
	name, ok := strings.CutPrefix(query, "name=")
	if name = canonical(name); !ok || !validName(name) {
		return "", errors.New("must have nothing behind the ? but name=NAME, the name that the server's certificate is for")
	}
	return name, nil
}

func parseEndpoint(address string, port uint16) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(address); err == nil && ap.Port() != 0 {
		return ap, nil
	}
	if inner, ok := strings.CutPrefix(address, "["); ok && strings.HasSuffix(inner, "]") {
		address = strings.TrimSuffix(inner, "]")
	}
	if a, err := netip.ParseAddr(address); err == nil {
		return netip.AddrPortFrom(a, port), nil
	}
	return netip.AddrPort{}, errors.New("must name the server by IP address, with a port from 1 to 65535 or none; an IPv6 address with a port stands in brackets")
}

func validPath(path string) bool {
	const marks = "-._~/"
	for i := range len(path) {
		c := path[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && !strings.Contains(marks, string(c)) {
			return false
		}
	}
	return true
}

// systemUpstreams returns the nameservers of a resolv.conf, and nothing else of
// it.
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
