// Package http1 speaks HTTP/1.1 (RFC 9112) to an upstream, over one connection
// and one exchange at a time, on the goroutine of who asks. net/http's Transport
// hands each answer from goroutine to goroutine, which costs more than all else
// that it does for a small one, and takes answers that package framing refuses.
package http1

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"time"
)

// Conn is a connection to an upstream, over TCP or TLS. It serves one exchange
// after the other, and is its owner's between two.
type Conn struct {
	net.Conn
	in     filter
	reader *bufio.Reader // of in
	writer *bufio.Writer
}

// New returns a Conn over a connection whose TLS handshake, if any, is done.
func New(c net.Conn) *Conn {
	conn := &Conn{Conn: c, writer: bufio.NewWriter(c)}
	conn.in.src = c
	conn.reader = bufio.NewReader(&conn.in)
	return conn
}

// Terms are what an exchange is made under.
type Terms struct {
	Header time.Duration // from the end of the request to the end of the answer's header
	// Informational is told of 1xx answers but 101; an error ends the exchange. May be
	// nil.
	Informational func(status int, header http.Header) error
	// Reuse is called once, when the exchange has ended and the connection is ready
	// for another; else the connection is closed. That may be after the answer was
	// read, where the request had not been sent before.
	Reuse func()
}

// RoundTrip sends a request and returns the answer once its header is read. The
// request's body may be read beyond that; the answer's has to be read to its end
// or closed. The end of the request's context closes the connection until then,
// but after 101, whose body is an io.ReadWriteCloser. An answer that breaks the
// rules of HTTP/1 ends in a *framing.Error, here or in its body.
func (c *Conn) RoundTrip(req *http.Request, t Terms) (*http.Response, error) {
	if err := check(req); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	x := newExchange(c, req, t)
	x.send()
	resp, err := x.receive()
	if err != nil {
		err = x.because(err) // before the request fails for no other reason than that
		x.fail()
		return nil, err
	}
	return resp, nil
}

// Answered reports whether the upstream has sent anything in the last exchange.
func (c *Conn) Answered() bool { return c.in.touched }

// ready reports whether the next exchange finds the connection at its beginning.
func (c *Conn) ready() bool { return c.reader.Buffered() == 0 && c.in.ready() }
