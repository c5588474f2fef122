package framing

import "bytes"

// lines cuts a part of a message into its lines as they come. Offsets are into
// the part, which grows from call to call.
type lines struct {
	start   int // of the line that is not whole yet
	scanned int // no line feed before here, from start on
}

// next returns the next whole line of b without its end. ok is false where more
// must come first.
func (l *lines) next(b []byte) (line []byte, ok bool, err *Error) {
	i := bytes.IndexByte(b[l.scanned:], '\n')
	if i < 0 {
		l.scanned = len(b)
		return nil, false, nil
	}
	end := l.scanned + i
	if end == l.start || b[end-1] != '\r' {
		return nil, false, malformed("a line ends in a bare LF")
	}
	line = b[l.start : end-1]
	l.start, l.scanned = end+1, end+1
	return line, true, nil
}

// Classes of bytes.
const (
	token   = 1 << iota // tchar of RFC 9110, section 5.6.2
	text                // of a field value: RFC 9110, section 5.5, blanks and tabs with it
	target              // of a request target: neither blank nor control
	host                // of a Host field, as net/http takes it: RFC 3986, section 3.2.2, in ASCII
	hexadec             // a hexadecimal digit
)

var classes = classify()

func classify() (t [256]uint8) {
	for c := range t {
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= text
		}
		if c > ' ' && c != 0x7f {
			t[c] |= target
		}
	}
	mark := func(class uint8, set string) {
		for i := range len(set) {
			t[set[i]] |= class
		}
	}
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	mark(token, alphanumeric+"!#$%&'*+-.^_`|~")
	mark(host, alphanumeric+"!$%&'()*+,-.:;=[]_~")
	mark(hexadec, "0123456789abcdefABCDEF")
	return t
}

// allOf reports whether b has bytes of one class only.
func allOf(class uint8, b []byte) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}

// trim removes optional white space (RFC 9110, section 5.6.3).
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// equalFold compares ASCII without regard to case.
func equalFold[T []byte | string](a []byte, b T) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if c != b[i] && (c|0x20 != b[i]|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
