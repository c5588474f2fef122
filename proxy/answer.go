package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/signet-egress/signet/proxy/http1"
)

// answerEnd sends an HTTP answer to the agent and holds back its end until the
// receipt is durable: the last byte where a length is declared, the terminator
// (last chunk, END_STREAM) where none is, the header where there is no body, and
// all of an answer that came whole and is short.
type answerEnd struct {
	w  http.ResponseWriter
	r  *http.Request
	rc *http.ResponseController

	request *digest        // the body that is being sent on; nil before, and where there is none
	body    *movingBody    // what it reads; nil where nothing is sent on
	begun   bool           // the final header is on its way
	pending *http.Response // the header itself is held
	last    []byte         // the held bytes: the last one, or the whole body behind a held header
	trailer func() http.Header

	mu    sync.Mutex // informational answers come on the transport's goroutine
	early int        // how many have come
	final bool
}

// heldWhole is the longest body, in bytes, that is held as a whole when it came as
// one: there is nothing to stream, the agent gets all of it in one write, and an
// answer instead of a cut where there is no receipt.
const heldWhole = 4 << 10

// agentGoneError is a failed write to the agent.
type agentGoneError struct{ err error }

func (e *agentGoneError) Error() string { return fmt.Sprintf("writing to the agent: %v", e.err) }
func (e *agentGoneError) Unwrap() error { return e.err }

// informational passes a 1xx answer on (RFC 9110, section 15.2). 100 is the
// server's own to send, when the body is first read. An error ends the exchange.
func (e *answerEnd) informational(status int, header http.Header) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.early++
	switch {
	case e.early > http1.MaxInformational: // over h2 too, where net/http has no bound for those that are passed on
		return http1.ErrInformational
	case status == http.StatusSwitchingProtocols: // HTTP/2 has none (RFC 9113, section 8.6), to an agent it would be final
		return errors.New("101 over HTTP/2")
	case e.final || status == http.StatusContinue || !e.r.ProtoAtLeast(1, 1):
		return nil
	}
	h := e.w.Header()
	maps.Copy(h, header)
	cleanAnswer(h)
	e.w.WriteHeader(status)
	clear(h)
	return nil
}

// finalAnswer ends the time of informational answers.
func (e *answerEnd) finalAnswer() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.final = true
}

// header copies the answer's header; nothing is sent yet.
func (e *answerEnd) header(resp *http.Response, receiptID string) {
	h := e.w.Header()
	maps.Copy(h, resp.Header)
	cleanAnswer(h)
	if resp.ContentLength < 0 {
		delete(h, "Content-Length") // over h2 net/http leaves there what it could not read: a sign, two values
	}
	h[receiptField] = []string{receiptID}
	e.closeUnlessWhole(h)
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // keeps net/http from guessing one
	}
	if wantsTrailers(e.r.Header) {
		e.trailer = func() http.Header { return resp.Trailer }
	}
}

// closeUnlessWhole ends the connection with this answer where the request's body
// has not been read to its end: with full duplex net/http would go on reading
// requests behind a body that broke, out of the body.
func (e *answerEnd) closeUnlessWhole(h http.Header) {
	if e.r.ProtoMajor == 1 && e.request != nil && !e.request.whole() {
		h["Connection"] = []string{"close"}
	}
}

// linger bounds how long net/http waits for what is left of the request's body,
// before it sends an answer or after it.
func (e *answerEnd) linger() {
	if e.r.ProtoMajor == 1 && e.r.ContentLength != 0 && (e.request == nil || !e.request.whole()) {
		if e.body != nil {
			e.body.leave(lingering)
			if c := servedOf(e.r.Context()); c != nil {
				c.lingers.Store(true) // net/http ends the read of another goroutine, and may read no more
			}
		}
		_ = e.rc.SetReadDeadline(time.Now().Add(lingering))
		// net/http clears the deadline where a read of its own was pending; the
		// connection closes behind this answer, so that a late one harms nobody.
		time.AfterFunc(lingering, func() { _ = e.rc.SetReadDeadline(time.Unix(1, 0)) })
	}
}

// stream sends header and body, all but the held end. An *agentGoneError is the
// agent's side, any other error the upstream's.
func (e *answerEnd) stream(resp *http.Response, body io.Reader, buf []byte) error {
	e.pending = resp
	if bodyless(e.r.Method, resp) {
		if resp.StatusCode == http.StatusNotModified {
			return nil // a length is that of the 200 (RFC 9110, section 15.4.5); over h2 net/http would miss the body
		}
		return drain(body)
	}
	if resp.ContentLength < 0 {
		return e.streamUnknown(body, buf)
	}
	return e.streamLength(body, buf, resp.ContentLength)
}

// begin sends the header, unless it has gone.
func (e *answerEnd) begin() {
	if e.pending != nil {
		e.w.WriteHeader(e.pending.StatusCode)
		e.pending, e.begun = nil, true
	}
}

func bodyless(method string, resp *http.Response) bool {
	return method == http.MethodHead || resp.ContentLength == 0 ||
		resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified
}

func drain(body io.Reader) error {
	_, err := io.Copy(io.Discard, body)
	return err
}

// streamLength holds the last of length bytes, or all of them where they are few
// and come at once. The chunk before the last byte is not flushed here: that
// happens while the receipt is being committed.
func (e *answerEnd) streamLength(body io.Reader, buf []byte, length int64) error {
	for {
		n, err := body.Read(buf)
		length -= int64(n)
		sent := n
		if n > 0 && length == 0 {
			if sent = n - 1; !e.begun && n <= heldWhole {
				sent = 0
			}
			e.last = bytes.Clone(buf[sent:n])
		}
		if werr := e.write(buf[:sent], length > 0); werr != nil {
			return werr
		}
		switch {
		case errors.Is(err, io.EOF) && length > 0:
			return io.ErrUnexpectedEOF
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// streamUnknown flushes every read, so that an event is never held back by the
// next. The terminator is the held end; an HTTP/1.0 agent, whose terminator is
// the close, could not tell a cut from an end, so for it the last byte waits too.
func (e *answerEnd) streamUnknown(body io.Reader, buf []byte) error {
	e.begin()
	if err := e.flushAgent(); err != nil {
		return err
	}
	holdLast := !e.r.ProtoAtLeast(1, 1)
	for {
		n, err := body.Read(buf)
		chunk := buf[:n]
		if n > 0 && holdLast {
			if werr := e.write(e.last, false); werr != nil {
				return werr
			}
			e.last = []byte{chunk[n-1]}
			chunk = chunk[:n-1]
		}
		if werr := e.write(chunk, true); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (e *answerEnd) write(b []byte, flush bool) error {
	if len(b) == 0 {
		return nil
	}
	e.begin()
	if _, err := e.w.Write(b); err != nil {
		return &agentGoneError{err}
	}
	if !flush {
		return nil
	}
	return e.flushAgent()
}

func (e *answerEnd) flushAgent() error {
	if err := e.rc.Flush(); err != nil {
		return &agentGoneError{err}
	}
	return nil
}

// flush implements end.
func (e *answerEnd) flush() {
	if e.begun {
		_ = e.rc.Flush() // an agent that left finds out by itself
	}
}

// release implements end. The rest goes out as the handler returns.
func (e *answerEnd) release() {
	e.linger()
	e.begin()
	if len(e.last) > 0 {
		_, _ = e.w.Write(e.last)
	}
	if e.trailer == nil {
		return
	}
	for name, v := range e.trailer() {
		if passTrailers(name) {
			e.w.Header()[http.TrailerPrefix+name] = v
		}
	}
}

// refuse implements end. An answer that has begun is cut: HTTP/1 closes the
// connection, HTTP/2 resets the stream.
func (e *answerEnd) refuse(a *answerTo) {
	e.finalAnswer()
	if e.begun {
		panic(http.ErrAbortHandler)
	}
	e.linger()
	e.closeUnlessWhole(a.header)
	a.writeTo(e.w)
}

// buffers recycles what bodies are copied through.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (b *buffers) get() *[]byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, bufferSize)
	return &buf
}

func (b *buffers) put(buf *[]byte) { b.pool.Put(buf) }
