package framing

import (
	"bytes"
	"net/http"
)

// span is a part of the head that is kept while it grows, as offsets.
type span struct{ from, to int }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }

// head is what is known of a request head.
type head struct {
	fields int // where they begin; 0 before the request line is whole
	target span
	host   span

	delimiter
	connect, get bool // the method
	hasHost      bool
	webSocket    bool
}

// readHead returns the length of the head, once it is whole.
func (q *Requests) readHead(b []byte) (int, *Error) {
	if q.lines.start == 0 && classes[b[0]]&token == 0 { // else this would wait for a line that may never come
		return 0, notARequest(b[0])
	}
	for {
		from := q.lines.start
		line, whole, err := q.lines.next(b)
		if err != nil {
			return 0, err
		}
		if err := q.checkSize(b, from, line, whole); err != nil || !whole {
			return 0, err
		}
		switch {
		case from == 0:
			err = q.readRequestLine(line)
		case len(line) == 0:
			return q.finishHead(b)
		default:
			err = q.readField(line, from)
		}
		if err != nil {
			return 0, err
		}
	}
}

func notARequest(first byte) *Error {
	if first == 0x16 { // a TLS handshake record
		return malformed("this is TLS, and the proxy itself speaks plain HTTP: its URL begins with http://")
	}
	return malformed("a request does not begin with the name of a method")
}

// checkSize bounds the head and what may still become part of it.
func (q *Requests) checkSize(b []byte, from int, line []byte, whole bool) *Error {
	size := len(line)
	if !whole {
		size = len(b) - from - len("\r") // which may be there already
	}
	if from == 0 {
		if size > MaxRequestLine {
			return malformed("the request line is longer than 8192 bytes")
		}
		return nil
	}
	end := len(b)
	if whole {
		end = q.lines.start
	}
	if end-q.head.fields > MaxHeaderBlock {
		return &Error{Status: http.StatusRequestHeaderFieldsTooLarge, TooLarge: true, Detail: "the header fields are larger than 32768 bytes"}
	}
	return nil
}

// readRequestLine takes a method, a target and a version, one blank between them
// (RFC 9112, section 3).
func (q *Requests) readRequestLine(line []byte) *Error {
	first, last := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if first < 0 || first == last {
		return malformed("the request line is not a method, a target and a version")
	}
	method, version := line[:first], line[last+1:]
	h := &q.head
	h.target = span{first + 1, last}
	switch {
	case !allOf(token, method):
		return malformed("the method is not a token")
	case h.target.from == h.target.to || !allOf(target, h.target.of(line)):
		return malformed("the request target is empty, or has a blank or a control character in it")
	case string(method) == "PRI":
		return malformed("HTTP/2 begins inside TLS, not here")
	case string(version) == "HTTP/1.0":
		h.old = true
	case string(version) != "HTTP/1.1":
		return badVersion(version)
	}
	h.connect, h.get = string(method) == http.MethodConnect, string(method) == http.MethodGet
	h.fields = q.lines.start
	return nil
}

func badVersion(version []byte) *Error {
	if len(version) == len("HTTP/1.1") && bytes.HasPrefix(version, []byte("HTTP/")) {
		return &Error{Status: http.StatusHTTPVersionNotSupported, Detail: "the only versions are HTTP/1.0 and HTTP/1.1"}
	}
	return malformed("the request line does not end in a version of HTTP")
}

// readField takes one field line, which begins at offset from (RFC 9112, section 5).
func (q *Requests) readField(line []byte, from int) *Error {
	name, value, err := cutField(line)
	if err != nil {
		return err
	}
	switch len(name) {
	case len("host"):
		if equalFold(name, "host") {
			start := from + cap(line) - cap(value) // value is a part of line
			return q.head.setHost(span{start, start + len(value)}, value)
		}
	case len("expect"):
		if equalFold(name, "expect") && !equalFold(value, "100-continue") {
			return &Error{Status: http.StatusExpectationFailed, Detail: "the only expectation is 100-continue"}
		}
	case len("upgrade"): // and trailer
		switch {
		case equalFold(name, "upgrade"):
			q.head.webSocket = q.head.get && equalFold(value, "websocket")
		case equalFold(name, "trailer"):
			return checkTrailer(value)
		}
	case len("content-length"), len("transfer-encoding"):
		return q.head.readField(name, value)
	}
	return nil
}

// cutField cuts a line of a header or a trailer section at its colon. The value
// comes without the white space around it.
func cutField(line []byte) (name, value []byte, err *Error) {
	if len(line) == 0 || line[0] == ' ' || line[0] == '\t' {
		return nil, nil, malformed("a header line is folded, or begins with white space")
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return nil, nil, malformed("a header line has no colon")
	}
	name, value = line[:colon], line[colon+1:]
	if colon == 0 || !allOf(token, name) {
		return nil, nil, malformed(badName(name))
	}
	if !allOf(text, value) {
		return nil, nil, malformed(badText(value))
	}
	return name, trim(value), nil
}

func badName(name []byte) string {
	if len(name) > 0 && (name[len(name)-1] == ' ' || name[len(name)-1] == '\t') {
		return "white space stands between a field's name and its colon"
	}
	return "a field's name is not a token"
}

func badText(value []byte) string {
	switch {
	case bytes.IndexByte(value, '\r') >= 0:
		return "a field's value has a bare CR in it"
	case bytes.IndexByte(value, 0) >= 0:
		return "a field's value has a NUL in it"
	}
	return "a field's value has a control character in it"
}

func (h *head) setHost(at span, value []byte) *Error {
	switch {
	case h.hasHost:
		return malformed("there is more than one Host field")
	case !allOf(host, value):
		return malformed("the Host field is not a host")
	}
	h.hasHost, h.host = true, at
	return nil
}

// checkTrailer refuses to announce what decides about the framing (RFC 9110,
// section 6.5.1).
func checkTrailer(value []byte) *Error {
	for len(value) > 0 {
		name, rest, _ := bytes.Cut(value, []byte{','})
		name = trim(name)
		if equalFold(name, "transfer-encoding") || equalFold(name, "content-length") || equalFold(name, "trailer") {
			return malformed("Trailer names a field that cannot be one")
		}
		value = rest
	}
	return nil
}

// finishHead holds the fields against each other. b begins with the whole head.
func (q *Requests) finishHead(b []byte) (int, *Error) {
	h := &q.head
	if err := h.check(); err != nil {
		return 0, err
	}
	switch {
	case h.connect && (h.chunked || h.length > 0):
		return 0, malformed("CONNECT has no content")
	case !h.hasHost && !h.old:
		return 0, malformed("there is no Host field")
	}
	if err := q.checkTarget(h.target.of(b), h.host.of(b)); err != nil {
		return 0, err
	}
	n := q.lines.start
	q.begin()
	return n, nil
}
