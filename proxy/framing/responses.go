package framing

import (
	"bytes"
	"net/http"
)

// MaxResponseHead is the longest head of an answer, in bytes with all line ends.
const MaxResponseHead = 64 << 10

// Responses follows what an upstream sends on one connection, one answer to each
// request. The zero value is at the connection's beginning. One goroutine at a
// time may use it.
type Responses struct {
	content
	method string // of the request that is not answered to its end; "" where there is none
	head   responseHead
}

// responseHead is what is known of an answer's head.
type responseHead struct {
	delimiter
	status int
}

// Expect says that a request goes out. What comes next answers it.
func (r *Responses) Expect(method string) { r.method = method }

// Whole reports whether each request was answered to its end.
func (r *Responses) Whole() bool { return r.method == "" }

// Pass returns how many bytes of b may go on, as Requests.Pass does.
func (r *Responses) Pass(b []byte) (n int, err *Error) {
	for n < len(b) {
		m, err := r.part(b[n:])
		if err != nil {
			err.Status, err.Content = http.StatusBadGateway, r.state != atHead
			r.state = refused
			return n, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return n, nil
}

func (r *Responses) part(b []byte) (int, *Error) {
	if r.state == atHead {
		return r.readHead(b)
	}
	n, err := r.content.part(b)
	if r.state == atHead {
		r.method = ""
	}
	return n, err
}

// readHead returns the length of the head, once it is whole.
func (r *Responses) readHead(b []byte) (int, *Error) {
	switch {
	case r.method == "":
		return 0, malformed("it comes without a request")
	case b[0] != 'H': // else this would wait for a line that may never come
		return 0, malformed(noStatusLine)
	}
	for {
		from := r.lines.start
		line, whole, err := r.lines.next(b)
		if err != nil {
			return 0, err
		}
		if whole && r.lines.start > MaxResponseHead || !whole && len(b) > MaxResponseHead {
			return 0, &Error{TooLarge: true, Detail: "the status line and the header fields are larger than 65536 bytes"}
		}
		switch {
		case !whole:
			return 0, nil
		case from == 0:
			err = r.readStatusLine(line)
		case len(line) == 0:
			return r.finishHead()
		default:
			err = r.readField(line)
		}
		if err != nil {
			return 0, err
		}
	}
}

const noStatusLine = "it does not begin with the status line of HTTP/1.0 or HTTP/1.1"

// readStatusLine takes a version, a status and a reason phrase (RFC 9112, section
// 4). Many servers leave out the phrase with the blank before it.
func (r *Responses) readStatusLine(line []byte) *Error {
	const version, length = "HTTP/1.", len("HTTP/1.1 200")
	if len(line) < length || !bytes.HasPrefix(line, []byte(version)) || line[len(version)] != '0' && line[len(version)] != '1' || line[len("HTTP/1.1")] != ' ' {
		return malformed(noStatusLine)
	}
	r.head = responseHead{}
	for _, c := range line[len("HTTP/1.1 "):length] {
		if c < '0' || c > '9' {
			return malformed("its status is not a number of three digits")
		}
		r.head.status = 10*r.head.status + int(c-'0')
	}
	phrase := line[length:]
	if r.head.status < 100 || len(phrase) > 0 && phrase[0] != ' ' {
		return malformed("its status is not a number of three digits")
	}
	if !allOf(text, phrase) {
		return malformed("its reason phrase has a control character in it")
	}
	r.head.old = line[len(version)] == '0'
	return nil
}

func (r *Responses) readField(line []byte) *Error {
	name, value, err := cutField(line)
	if err != nil {
		return err
	}
	switch len(name) {
	case len("trailer"):
		if equalFold(name, "trailer") {
			return checkTrailer(value)
		}
	case len("content-length"), len("transfer-encoding"):
		return r.head.readField(name, value)
	}
	return nil
}

// finishHead decides what follows the head (RFC 9112, section 6.3).
func (r *Responses) finishHead() (int, *Error) {
	h := &r.head
	if err := h.check(); err != nil {
		return 0, err
	}
	interim := h.status < 200 && h.status != http.StatusSwitchingProtocols
	if (interim || h.status == http.StatusNoContent) && (h.chunked || h.length > 0) {
		return 0, malformed("its status has no content, and its header declares some")
	}
	n := r.lines.start
	switch {
	case h.status == http.StatusSwitchingProtocols:
		r.content = content{state: opaque}
	case interim, r.method == http.MethodHead, h.status == http.StatusNoContent, h.status == http.StatusNotModified:
		r.content = content{}
	case h.chunked || h.hasLength:
		r.begin(h.delimiter)
	default:
		r.content = content{state: untilClose}
	}
	if r.state == atHead && !interim {
		r.method = ""
	}
	return n, nil
}
