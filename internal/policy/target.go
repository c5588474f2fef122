package policy

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"

	"github.com/signet-egress/signet/internal/strictyaml"
)

// Target is where a request wants to go. It is parsed once, and policy,
// resolver, dialer, SNI, Host header and receipt all use this value: the text it
// came from is never read again.
type Target struct {
	Scheme     string     // http, https, ws or wss; https for CONNECT
	Host       string     // lower-case ASCII name without a trailing dot, or an IP literal in its canonical form without brackets
	Addr       netip.Addr // valid where Host is a literal
	Port       uint16
	Path       string // as sent; "" for CONNECT
	Query      string // as sent, without the question mark; never logged or recorded
	ForceQuery bool   // the target ended in a bare question mark

	reading pathReading // what path rules match; the zero value matches none
}

// TargetError says what is wrong with a request target. Its text quotes what it
// shows in ASCII, so that it is safe in logs and answers.
type TargetError struct {
	Part    string // target, scheme, userinfo, host, port or path
	Problem string
}

func (e *TargetError) Error() string { return e.Part + ": " + e.Problem }

func malformed(part, format string, args ...any) error {
	return &TargetError{Part: part, Problem: fmt.Sprintf(format, args...)}
}

// ParseAuthority parses the request target of CONNECT, "host:port" (RFC 9112,
// section 3.2.3). The port must be there. Errors are of type *TargetError.
func ParseAuthority(authority string) (Target, error) {
	if err := checkBytes(authority); err != nil {
		return Target{}, err
	}
	if strings.ContainsAny(authority, "/?") {
		return Target{}, malformed("target", "CONNECT takes host:port, not a URL")
	}
	t := Target{Scheme: "https"}
	port, err := t.setAuthority(authority)
	if err != nil {
		return Target{}, err
	}
	if port == "" {
		return Target{}, malformed("port", "CONNECT takes host:port, and the port is missing")
	}
	return t, nil
}

// ParseAbsolute parses a request target in absolute-form (RFC 9112, section
// 3.2.2). An empty path becomes "/". Errors are of type *TargetError.
func ParseAbsolute(requestTarget string) (Target, error) {
	if err := checkBytes(requestTarget); err != nil {
		return Target{}, err
	}
	scheme, rest, ok := strings.Cut(requestTarget, "://")
	if !ok {
		return Target{}, malformed("target", "a request to a proxy names the whole URL, as in http://host/path")
	}
	t := Target{Scheme: strings.ToLower(scheme)}
	if schemeBit(t.Scheme) == 0 {
		return Target{}, malformed("scheme", "%s is not http, https, ws or wss", strictyaml.Excerpt(scheme))
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if _, err := t.setAuthority(rest[:end]); err != nil {
		return Target{}, err
	}
	if err := t.setPath(rest[end:]); err != nil {
		return Target{}, err
	}
	return t, nil
}

// ParseOrigin parses a request target in origin-form (RFC 9112, section 3.2.1),
// or an HTTP/2 :path, that came inside an intercepted tunnel to t.
func (t Target) ParseOrigin(requestTarget string) (Target, error) {
	if err := checkBytes(requestTarget); err != nil {
		return Target{}, err
	}
	if !strings.HasPrefix(requestTarget, "/") {
		return Target{}, malformed("target", "inside a tunnel a request names a path that starts with /")
	}
	inner := Target{Scheme: t.Scheme, Host: t.Host, Addr: t.Addr, Port: t.Port}
	if err := inner.setPath(requestTarget); err != nil {
		return Target{}, err
	}
	return inner, nil
}

// checkBytes refuses what no target holds, before anything is made of it.
func checkBytes(s string) error {
	if s == "" {
		return malformed("target", "it is empty")
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c == 0x7f:
			return malformed("target", "it contains a blank or a control character (0x%02x)", c)
		case c == '\\':
			return malformed("target", "it contains a backslash")
		case c == '#':
			return malformed("target", "it contains a fragment (#)")
		}
	}
	return nil
}

// setAuthority parses host and port, and returns the port's text: "" where it
// was left out and the scheme's default was taken.
func (t *Target) setAuthority(authority string) (port string, err error) {
	if strings.Contains(authority, "@") {
		return "", malformed("userinfo", "a user name or password in a URL is refused")
	}
	host, port, hasPort, err := splitPort(authority)
	if err != nil {
		return "", err
	}
	if t.Host, t.Addr, err = parseHost(host); err != nil {
		return "", err
	}
	if !hasPort {
		t.Port = defaultPort(t.Scheme)
		return "", nil
	}
	t.Port, err = parsePort(port)
	return port, err
}

// splitPort cuts at the colon that is not inside brackets.
func splitPort(authority string) (host, port string, hasPort bool, err error) {
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return "", "", false, malformed("host", "an opening bracket without its closing one")
		}
		host, rest := authority[:end+1], authority[end+1:]
		if rest == "" {
			return host, "", false, nil
		}
		if rest[0] != ':' {
			return "", "", false, malformed("host", "%s after the closing bracket", strictyaml.Excerpt(rest))
		}
		return host, rest[1:], true, nil
	}
	host, port, hasPort = strings.Cut(authority, ":")
	if strings.Contains(port, ":") {
		return "", "", false, malformed("host", "more than one colon: an IPv6 address stands in brackets")
	}
	return host, port, hasPort, nil
}

// parsePort takes 1 to 65535 in decimal, without sign or leading zero.
func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '0' || s[0] == '+' {
		return 0, malformed("port", "%s is not a port (1 to 65535, without sign or leading zero)", strictyaml.Excerpt(s))
	}
	return uint16(n), nil
}

func defaultPort(scheme string) uint16 {
	if scheme == "http" || scheme == "ws" {
		return 80
	}
	return 443
}

// setPath takes the rest of a target, from its path on.
func (t *Target) setPath(s string) error {
	path, query, hasQuery := strings.Cut(s, "?")
	if path == "" {
		path = "/"
	}
	reading, err := readPath(path)
	if err != nil {
		return err
	}
	t.Path, t.Query, t.ForceQuery, t.reading = path, query, hasQuery && query == "", reading
	return nil
}

// Authority is host:port, with brackets around an IPv6 literal.
func (t Target) Authority() string {
	return t.bracketed() + ":" + strconv.Itoa(int(t.Port))
}

// HostHeader is the value of the Host field for this target: the authority, its
// port left out where it is the scheme's default (RFC 9110, section 7.2).
func (t Target) HostHeader() string {
	if t.Port == defaultPort(t.Scheme) {
		return t.bracketed()
	}
	return t.Authority()
}

func (t Target) bracketed() string {
	if t.Addr.Is6() {
		return "[" + t.Host + "]"
	}
	return t.Host
}

// SameAuthority tells whether a Host field or an :authority names this target.
// The scheme's default port may be left out.
func (t Target) SameAuthority(hostField string) bool {
	if hostField == t.Host && t.Port == defaultPort(t.Scheme) && !t.Addr.Is6() {
		return true
	}
	if checkBytes(hostField) != nil {
		return false
	}
	named := Target{Scheme: t.Scheme}
	if _, err := named.setAuthority(hostField); err != nil {
		return false
	}
	return named.Host == t.Host && named.Port == t.Port
}

// RequestURI is the target in origin-form, as sent: path and query.
func (t Target) RequestURI() string {
	if t.Query != "" || t.ForceQuery {
		return t.Path + "?" + t.Query
	}
	return t.Path
}

// String is the target without its query, so that it can be shown.
func (t Target) String() string { return t.Scheme + "://" + t.Authority() + t.Path }

// LogValue keeps the query out of logs.
func (t Target) LogValue() slog.Value { return slog.StringValue(t.String()) }
