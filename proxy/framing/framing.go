// Package framing follows the requests of an HTTP/1 connection as bytes (RFC
// 9112), ahead of the server that parses them. It refuses every request that two
// parsers could read as two things, and lets through only what net/http reads
// exactly as it does: the same requests with the same content. It takes and gives
// bytes, and does no I/O.
package framing

import (
	"net/http"
	"net/netip"
)

// Limits of one request. The chunk limits are net/http's own or below them.
const (
	MaxRequestLine   = 8 << 10  // bytes
	MaxHeaderBlock   = 32 << 10 // bytes of all fields with their line ends
	maxChunkDigits   = 16
	maxChunkLine     = 4 << 10 // bytes with the line's end: what fits into net/http's buffer
	maxExtensions    = 4 << 10 // bytes of chunk extensions in one message
	maxTrailers      = 4 << 10 // bytes of the trailer section: what fits into net/http's buffer
	maxLengthDigits  = 19      // of a length or size that is below 2^63
	highestChunkSize = 1<<63 - 1
)

// Error is a request that is refused for its form, and the end of what its
// connection is read for.
type Error struct {
	Status   int    // HTTP status to answer with
	TooLarge bool   // a limit was passed, and not the grammar broken
	Content  bool   // it is the content that is malformed: the head has gone on
	Detail   string // which rule; holds nothing of the request's own
}

func (e *Error) Error() string { return e.Detail }

func malformed(detail string) *Error { return &Error{Status: http.StatusBadRequest, Detail: detail} }

// state is what the next bytes are.
type state uint8

const (
	atHead    state = iota // a request head
	inContent              // content of a declared length
	atChunk                // a chunk's size
	inChunk                // a chunk's data
	pastChunk              // the line end behind a chunk's data
	atTrailer              // the trailer section
	upgrading              // nobody knows: an upgrade that was asked for is not answered yet
	opaque                 // no longer HTTP/1
	refused                // nothing of interest
)

// Requests follows one connection. The zero value is at its beginning. One
// goroutine at a time may use it.
type Requests struct {
	// Proxy is where the agent has connected to, if that is a proxy. CONNECT may name
	// it in its Host field, which no one else ever sees: undici 5.15 does, an HTTP
	// client of Node.js.
	Proxy netip.AddrPort

	state      state
	lines      lines
	head       head
	left       uint64 // bytes of content or of chunk data that are still to come
	extensions int    // bytes of chunk extensions in this message so far
	heads      int64
}

// Heads is how many request heads have been let through.
func (q *Requests) Heads() int64 { return q.heads }

// Upgrading reports whether what comes next is unknown, because the last request
// asks to switch protocols and no answer is known: Pass lets nothing through
// until NotUpgraded.
func (q *Requests) Upgrading() bool { return q.state == upgrading }

// NotUpgraded says that the connection goes on with requests.
func (q *Requests) NotUpgraded() { q.state = atHead }

// AtHead reports whether what comes next is a request head, or the rest of one.
func (q *Requests) AtHead() bool { return q.state == atHead }

// Pass returns how many bytes of b may go on to the server. The rest begins a
// part that is not whole yet; the caller keeps it and hands it in again with what
// has come behind it. An error concerns what stands at b[n:].
func (q *Requests) Pass(b []byte) (n int, err *Error) {
	for n < len(b) {
		m, err := q.part(b[n:])
		if err != nil {
			err.Content = q.state != atHead
			q.state = refused
			return n, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return n, nil
}

// part returns the length of the part of a message that b begins with, 0 while it
// is not whole.
func (q *Requests) part(b []byte) (int, *Error) {
	switch q.state {
	case atHead:
		return q.readHead(b)
	case inContent:
		n := q.skip(b)
		if q.left == 0 {
			q.endMessage()
		}
		return n, nil
	case atChunk:
		return q.readChunkLine(b)
	case inChunk:
		n := q.skip(b)
		if q.left == 0 {
			q.state = pastChunk
		}
		return n, nil
	case pastChunk:
		return q.readChunkEnd(b)
	case atTrailer:
		return q.readTrailers(b)
	case opaque:
		return len(b), nil
	}
	return 0, nil // upgrading, refused
}

func (q *Requests) skip(b []byte) int {
	n := min(uint64(len(b)), q.left)
	q.left -= n
	return int(n)
}

// begin goes on from a head that was let through.
func (q *Requests) begin() {
	q.heads++
	q.lines = lines{}
	switch {
	case q.head.connect:
		q.state = opaque
	case q.head.chunked:
		q.state, q.extensions = atChunk, 0
	case q.head.length > 0:
		q.state, q.left = inContent, q.head.length
	default:
		q.endMessage()
	}
}

func (q *Requests) endMessage() {
	q.state = atHead
	if q.head.webSocket {
		q.state = upgrading
	}
	q.head = head{}
}
