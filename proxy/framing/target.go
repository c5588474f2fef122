package framing

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/signet-egress/signet/internal/policy"
)

// checkTarget holds the Host field against the authority in the target, where
// there is one. net/http takes the target's and forgets the field, so nobody
// behind it could. What is wrong with a target is left to the pipeline to say,
// unless net/http would not let it see the request.
func (q *Requests) checkTarget(target, host []byte) *Error {
	authority, plain := plainAuthority(target, q.head.connect)
	if !plain {
		if err := checkOddTarget(string(target), q.head.connect); err != nil {
			return err
		}
	}
	if !q.head.hasHost || plain && (len(authority) == 0 || equalFold(authority, host)) { // an authority of none: origin-form
		return nil
	}
	return q.compare(string(target), string(host))
}

// plainAuthority returns the authority in a target of one of the usual forms,
// which every parser reads alike. plain is false for any other.
func plainAuthority(target []byte, connect bool) (authority []byte, plain bool) {
	const scheme = "http://"
	rest := target
	switch {
	case connect:
		return target, isPlainAuthority(target)
	case target[0] == '/':
	case len(target) > len(scheme) && string(target[:len(scheme)]) == scheme:
		end := len(scheme)
		for end < len(target) && target[end] != '/' && target[end] != '?' {
			end++
		}
		authority, rest = target[len(scheme):end], target[end:]
		if !isPlainAuthority(authority) {
			return nil, false
		}
	default:
		return nil, false
	}
	return authority, isPlainPath(rest)
}

// isPlainAuthority takes a name or an IPv4 address, and a port.
func isPlainAuthority(b []byte) bool {
	i := 0
	for i < len(b) && isNameByte(b[i]) {
		i++
	}
	if i == 0 || i == len(b) {
		return i > 0
	}
	if b[i] != ':' {
		return false
	}
	for _, c := range b[i+1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func isNameByte(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-'
}

// isPlainPath takes a path whose percent signs are all of escapes, and any query.
func isPlainPath(b []byte) bool {
	for i := 0; i < len(b) && b[i] != '?'; i++ {
		if b[i] != '%' {
			continue
		}
		if i+2 >= len(b) || classes[b[i+1]]&hexadec == 0 || classes[b[i+2]]&hexadec == 0 {
			return false
		}
	}
	return true
}

// checkOddTarget refuses what net/http does not take for a target.
func checkOddTarget(target string, connect bool) *Error {
	uri := target
	if connect && !strings.HasPrefix(target, "/") {
		uri = "http://" + target // as net/http does
	}
	if _, err := url.ParseRequestURI(uri); err == nil {
		return nil
	}
	if _, err := parse(target, connect); err != nil && !strings.HasPrefix(target, "/") {
		return malformed(err.Error())
	}
	return malformed("the request target is not a valid URI")
}

// compare refuses a Host field that does not name the target. It says nothing of
// a target that is none: the pipeline does, and better.
func (q *Requests) compare(target, host string) *Error {
	if q.head.connect && q.namesProxy(host) {
		return nil
	}
	if t, err := parse(target, q.head.connect); err == nil && !t.SameAuthority(host) {
		return malformed("the Host field does not name the host of the request target")
	}
	return nil
}

func (q *Requests) namesProxy(host string) bool {
	if !q.Proxy.IsValid() {
		return false
	}
	return host == q.Proxy.String() || q.Proxy.Addr().IsLoopback() && host == fmt.Sprintf("localhost:%d", q.Proxy.Port())
}

func parse(target string, connect bool) (policy.Target, error) {
	if connect {
		return policy.ParseAuthority(target)
	}
	return policy.ParseAbsolute(target)
}
