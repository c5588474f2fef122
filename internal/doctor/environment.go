package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// environment is a process's, as os.Environ has it: the last entry of a name counts.
type environment []string

func (e environment) get(name string) string {
	value := ""
	for _, entry := range e {
		if n, v, _ := strings.Cut(entry, "="); n == name {
			value = v
		}
	}
	return value
}

// either reads a variable that comes in both cases, lower case first, as curl does.
func (e environment) either(name string) string {
	return cmp.Or(e.get(strings.ToLower(name)), e.get(name))
}

// proxy is the first that the variables name, or nil.
func (e environment) proxy() *url.URL {
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY"} {
		if u, err := ParseProxy(e.either(name)); err == nil {
			return u
		}
	}
	return nil
}

// ParseProxy reads a proxy's URL; host:port alone means http.
func ParseProxy(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no URL", s)
	case u.Scheme != "http":
		return nil, fmt.Errorf("%q: Signet is an http:// proxy", s)
	case u.Hostname() == "" || u.Port() == "":
		return nil, fmt.Errorf("%q: want http://HOST:PORT", s)
	}
	return u, nil
}

func (e *examination) variables() []Check {
	checks := []Check{e.proxyVariables()}
	checks = append(checks, e.exceptions(), e.otherProxies())
	return append(checks, e.bundles()...)
}

// proxyVariables wants both variables in both cases: curl reads http_proxy in
// lower case only, others in upper case only.
func (e *examination) proxyVariables() Check {
	c := Check{Group: "variables", Name: "proxy", Status: Green}
	var missing, wrong []string
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		value := e.env.get(name)
		if value == "" {
			missing = append(missing, name)
			continue
		}
		u, err := ParseProxy(value)
		if err != nil || e.Proxy != nil && u.Host != e.Proxy.Host {
			wrong = append(wrong, name)
		}
	}
	want := "http://127.0.0.1:3128"
	if e.Proxy != nil {
		want = e.Proxy.Redacted()
	}
	switch {
	case len(wrong) > 0:
		c.Status, c.Detail = Red, strings.Join(wrong, ", ")+" does not name "+want
		c.Fix = "set it to " + want
	case len(missing) == 4:
		c.Status, c.Detail = Red, "no proxy variable is set"
		c.Fix = "set HTTP_PROXY, http_proxy, HTTPS_PROXY and https_proxy to " + want
	case len(missing) > 0:
		c.Status, c.Detail = Yellow, strings.Join(missing, ", ")+" is not set; some clients read one case only"
		c.Fix = "set " + strings.Join(missing, ", ") + " to " + want
	default:
		c.Detail = "HTTP_PROXY and HTTPS_PROXY, in both cases, name " + want
	}
	return c
}

// exceptions are what clients reach without the proxy: loopback, and nothing else.
func (e *examination) exceptions() Check {
	c := Check{Group: "variables", Name: "NO_PROXY", Status: Green, Detail: "loopback at most"}
	var beyond []string
	for _, list := range []string{e.env.get("NO_PROXY"), e.env.get("no_proxy")} {
		for _, host := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
			if !loopback(host) {
				beyond = append(beyond, host)
			}
		}
	}
	if len(beyond) == 0 {
		return c
	}
	c.Status, c.Detail = Yellow, "clients go to these without Signet: "+strings.Join(beyond, ", ")
	for _, host := range beyond {
		if host == "*" {
			c.Status, c.Detail = Red, "* has clients go everywhere without Signet"
		}
	}
	c.Fix = "set NO_PROXY and no_proxy to localhost,127.0.0.1,::1"
	return c
}

func loopback(host string) bool {
	host = strings.Trim(host, "[]")
	if p, err := netip.ParsePrefix(host); err == nil {
		return p.Addr().IsLoopback() && (p.Bits() >= 8 && p.Addr().Is4() || p.Bits() == 128)
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func (e *examination) otherProxies() Check {
	c := Check{Group: "variables", Name: "other proxies", Status: Green, Detail: "none"}
	for _, name := range []string{"ALL_PROXY", "all_proxy", "FTP_PROXY", "ftp_proxy"} {
		if value := e.env.get(name); value != "" {
			c.Status, c.Detail, c.Fix = Yellow, name+" is set, and leads clients past Signet", "unset "+name
		}
	}
	return c
}

// bundleVariables name a file of certificates, and who reads it.
var bundleVariables = []struct{ name, reader string }{
	{"SSL_CERT_FILE", "OpenSSL, Go"},
	{"CURL_CA_BUNDLE", "curl"},
	{"REQUESTS_CA_BUNDLE", "Python's requests"},
	{"NODE_EXTRA_CA_CERTS", "Node"},
	{"DENO_CERT", "Deno"},
	{"GIT_SSL_CAINFO", "Git"},
	{"PIP_CERT", "pip"},
	{"AWS_CA_BUNDLE", "AWS tools"},
}

// bundles finds variables whose file breaks every TLS connection of its reader.
func (e *examination) bundles() []Check {
	var checks []Check
	for _, v := range bundleVariables {
		file := e.env.get(v.name)
		if file == "" {
			continue
		}
		c := Check{Group: "variables", Name: v.name, Status: Green}
		roots, err := certificates(file)
		switch {
		case err != nil:
			c.Status, c.Detail = Red, v.reader+" can verify nobody: "+err.Error()
			c.Fix = "point it to a bundle of the system's roots with the interception CA appended"
		case len(roots) == 1 && v.name != "NODE_EXTRA_CA_CERTS" && v.name != "DENO_CERT":
			c.Status, c.Detail = Yellow, file+" holds one certificate, instead of the system's roots: hosts that are not intercepted fail"
			c.Fix = "append the interception CA to the system's roots, and name that file"
		default:
			c.Detail = fmt.Sprintf("%s, certificates: %d", file, len(roots))
		}
		checks = append(checks, c)
	}
	return checks
}

// nameservers of a resolver configuration (resolv.conf(5)).
func nameservers(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the resolver configuration: %w", err)
	}
	var servers []string
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "nameserver" {
			servers = append(servers, fields[1])
		}
	}
	return servers, nil
}
