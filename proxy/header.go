package proxy

import (
	"iter"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// hopByHop are the fields that concern one connection only (RFC 9110, section
// 7.6.1), with Proxy-* credentials, which are Signet's own.
var hopByHop = [...]string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// spoofable are fields by which an agent could claim to be forwarded for another.
var spoofable = [...]string{"Forwarded", "X-Real-Ip"}

// untouchable reports whether a field may not be named in Connection: an agent
// could otherwise have Signet remove what the upstream decides by.
func untouchable(name string) bool {
	switch name {
	case "Host", "Content-Length", "Authorization":
		return true
	}
	return strings.HasPrefix(name, "X-Signet-")
}

// untouchableInConnection is the first field that Connection names and may not, or "".
func untouchableInConnection(h http.Header) string {
	for name := range connectionFields(h) {
		if untouchable(name) {
			return name
		}
	}
	return ""
}

// dropConnectionFields removes what Connection names and every hop-by-hop field.
func dropConnectionFields(h http.Header) {
	for name := range connectionFields(h) {
		delete(h, name)
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// connectionFields are the names in Connection, in canonical form.
func connectionFields(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range h["Connection"] {
			for name := range strings.SplitSeq(line, ",") {
				if !yield(textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))) {
					return
				}
			}
		}
	}
}

// dropSignetFields removes what only Signet may say.
func dropSignetFields(h http.Header) {
	for name := range h {
		if strings.HasPrefix(dashed(name), "X-Signet-") {
			delete(h, name)
		}
	}
}

// overriding are fields by which servers take a request for one of another method.
var overriding = [...]string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// overriddenBy is a field that asks for another method, or "".
func overriddenBy(r *http.Request) string {
	for name, methods := range r.Header {
		if slices.Contains(overriding[:], dashed(name)) && (len(methods) != 1 || methods[0] != r.Method) {
			return name
		}
	}
	return ""
}

// said is what the fields of a name say together (RFC 9110, section 5.3).
func said(h http.Header, name string) string {
	var values []string
	for n, v := range h {
		if dashed(n) == name {
			values = append(values, v...)
		}
	}
	return strings.Join(values, ", ")
}

// cleanAnswer removes from an upstream's header what is not for the agent.
func cleanAnswer(h http.Header) {
	dropConnectionFields(h)
	dropSignetFields(h)
	delete(h, "Alt-Svc") // would invite the agent to leave over QUIC (RFC 7838)
}

// dropSpoofable removes claims about whom the request was forwarded for.
func dropSpoofable(h http.Header) {
	for name := range h {
		if d := dashed(name); strings.HasPrefix(d, "X-Forwarded-") || slices.Contains(spoofable[:], d) {
			delete(h, name)
		}
	}
}

// dashed is a field name with hyphens in the place of underscores: to an upstream
// that hands fields on as CGI does (RFC 3875, section 4.1.18) the two are one.
func dashed(name string) string {
	if strings.IndexByte(name, '_') < 0 {
		return name
	}
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// wantsWebSocket reports whether the request asks to switch to WebSocket
// (RFC 6455, section 4.1). Other upgrades, h2c among them, are never passed on.
func wantsWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 &&
		httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") &&
		len(r.Header["Upgrade"]) == 1 && strings.EqualFold(r.Header["Upgrade"][0], "websocket")
}

// extensionsField negotiates WebSocket extensions (RFC 6455, section 9). They
// change what frames mean (permessage-deflate compresses them), so Signet offers
// none on the agent's behalf, and both sides speak frames that anyone can read.
const extensionsField = "Sec-Websocket-Extensions"

// expectsMore reports whether the request expects anything but 100-continue, the
// one expectation that there is (RFC 9110, section 10.1.1).
func expectsMore(h http.Header) bool {
	for _, v := range h["Expect"] {
		if !strings.EqualFold(v, "100-continue") {
			return true
		}
	}
	return false
}

// wantsTrailers reports whether the agent takes trailers (RFC 9110, section 6.5.1).
func wantsTrailers(h http.Header) bool {
	return httpguts.HeaderValuesContainsToken(h["Te"], "trailers")
}

// passTrailers reports whether a trailer field may go on.
func passTrailers(name string) bool {
	return httpguts.ValidTrailerHeader(name) && !strings.HasPrefix(dashed(name), "X-Signet-") && name != "Alt-Svc"
}

func fieldCount(h http.Header) int {
	n := 0
	for _, v := range h {
		n += len(v)
	}
	return n
}

// fieldBytes is what the fields take as lines of HTTP/1.
func fieldBytes(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(": ") + len(v) + len("\r\n")
		}
	}
	return n
}
