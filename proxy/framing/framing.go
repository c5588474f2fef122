// Package framing follows the requests or the answers of an HTTP/1 connection as
// bytes (RFC 9112), ahead of net/http, which parses them. It refuses every message
// that two parsers could read as two things, and lets through only what net/http
// reads exactly as it does: the same messages with the same content. It takes and
// gives bytes, and does no I/O.
package framing

import (
	"net/http"
	"net/netip"
)

// Limits of one message. The chunk limits are net/http's own or below them.
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

// Error is a message that is refused for its form, and the end of what its
// connection is read for.
type Error struct {
	Status   int    // HTTP status to tell the agent
	TooLarge bool   // a limit was passed, and not the grammar broken
	Content  bool   // it is the content that is malformed: the head has gone on
	Detail   string // which rule; holds nothing of the message's own
}

func (e *Error) Error() string { return e.Detail }

func malformed(detail string) *Error { return &Error{Status: http.StatusBadRequest, Detail: detail} }

// state is what the next bytes are.
type state uint8

const (
	atHead     state = iota // a message's head
	inContent               // content of a declared length
	untilClose              // content that ends with the connection
	atChunk                 // a chunk's size
	inChunk                 // a chunk's data
	pastChunk               // the line end behind a chunk's data
	atTrailer               // the trailer section
	upgrading               // nobody knows: an upgrade that was asked for is not answered yet
	opaque                  // no longer HTTP/1
	refused                 // nothing of interest
)

// Requests follows one connection. The zero value is at its beginning. One
// goroutine at a time may use it.
type Requests struct {
	// Proxy is where the agent has connected to, if that is a proxy. CONNECT may name
	// it in its Host field, which no one else ever sees: undici 5.15 does, an HTTP
	// client of Node.js.
	Proxy netip.AddrPort

	content
	head  head
	heads int64
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
	if q.state == atHead {
		return q.readHead(b)
	}
	n, err := q.content.part(b)
	if q.state == atHead {
		q.endMessage()
	}
	return n, err
}

// begin goes on from a head that was let through.
func (q *Requests) begin() {
	q.heads++
	if q.head.connect {
		q.lines, q.state = lines{}, opaque
		return
	}
	q.content.begin(q.head.delimiter)
	if q.state == atHead {
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
