package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// lastWords is how long the answer of an upstream is waited for that does not
// take the request to its end: it may have said why before.
const lastWords = time.Second

// exchange is one request and its answer. A request's content is sent by a
// goroutine of its own, which ends when the content does or the connection is
// closed.
type exchange struct {
	Terms
	conn    *Conn
	req     *http.Request
	unwatch func() bool  // ends the watch over the context; false if that has closed the connection
	halves  atomic.Int32 // of request and answer, those that have not ended
	broken  atomic.Bool  // there is no other exchange on this connection
	proceed chan bool    // for an expectation: whether the content is wanted

	mu       sync.Mutex
	err      error // why the request could not be sent
	answered bool  // the answer's header was read: its time is no longer bounded
}

func newExchange(c *Conn, req *http.Request, t Terms) *exchange {
	x := &exchange{Terms: t, conn: c, req: req}
	x.halves.Store(1)
	c.in.expect(req.Method)
	x.unwatch = context.AfterFunc(req.Context(), func() { _ = c.Close() })
	return x
}

// fail ends the exchange and the connection.
func (x *exchange) fail() {
	x.broken.Store(true)
	x.unwatch()
	_ = x.conn.Close()
}

// because is why there is no answer: what went wrong with the request, else err.
func (x *exchange) because(err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err != nil {
		return x.err
	}
	return err
}

// unsent notes why the request could not be sent.
func (x *exchange) unsent(err error) {
	x.broken.Store(true)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.err = err
	if !x.answered {
		_ = x.conn.SetReadDeadline(time.Now().Add(lastWords))
	}
}

// bound bounds how long the answer's header may take, now that the request was
// sent.
func (x *exchange) bound() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.answered {
		_ = x.conn.SetReadDeadline(time.Now().Add(x.Header))
	}
}

func (x *exchange) unbound() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.answered = true
	_ = x.conn.SetReadDeadline(time.Time{})
}

// end ends one half well. With the second the connection is its owner's again.
func (x *exchange) end() {
	switch {
	case x.halves.Add(-1) > 0:
	case x.broken.Load() || !x.conn.ready():
		x.fail()
	case x.unwatch():
		x.Reuse()
	}
}

// MaxInformational is the most 1xx answers before the final one.
const MaxInformational = 5

// ErrInformational says that there were more.
var ErrInformational = fmt.Errorf("more than %d informational answers", MaxInformational)

// receive reads the answer's header.
func (x *exchange) receive() (*http.Response, error) {
	for range MaxInformational + 1 {
		resp, err := http.ReadResponse(x.conn.reader, x.req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			if err := x.inform(resp); err != nil {
				return nil, err
			}
			continue
		}
		x.unbound()
		x.decide(false)
		return resp, x.giveBody(resp)
	}
	return nil, ErrInformational
}

func (x *exchange) inform(resp *http.Response) error {
	if resp.StatusCode == http.StatusContinue {
		x.decide(true)
	}
	if x.Informational == nil {
		return nil
	}
	return x.Informational(resp.StatusCode, resp.Header)
}

// decide tells whether content is wanted that waits for that. The first word holds.
func (x *exchange) decide(wanted bool) {
	select {
	case x.proceed <- wanted: // nil, and so never, where nothing waits
	default:
	}
}

var errAborted = errors.New("the request was given up")

// giveBody has the end of the answer's content end the exchange.
func (x *exchange) giveBody(resp *http.Response) error {
	if resp.Close {
		x.broken.Store(true)
	}
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		if !x.unwatch() {
			return errAborted
		}
		resp.Body = &switched{x.conn}
	case resp.Body == http.NoBody || resp.ContentLength == 0:
		resp.Body = http.NoBody
		x.end()
	default:
		resp.Body = &content{src: resp.Body, x: x}
	}
	return nil
}

// content is that of an answer.
type content struct {
	src   io.Reader
	x     *exchange
	ended bool
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	switch {
	case err == nil || c.ended:
	case errors.Is(err, io.EOF):
		c.ended = true
		c.x.end()
	default:
		c.ended = true
		c.x.fail()
	}
	return n, err
}

// Close implements io.Closer. What was not read is not read any more.
func (c *content) Close() error {
	if !c.ended {
		c.ended = true
		c.x.fail()
	}
	return nil
}

// switched is a connection that is no longer HTTP/1.
type switched struct{ *Conn }

// Read implements io.Reader.
func (s *switched) Read(p []byte) (int, error) { return s.reader.Read(p) }

// CloseWrite closes Signet's side, over TCP or TLS.
func (s *switched) CloseWrite() error {
	if half, ok := s.Conn.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
