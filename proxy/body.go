package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// minBodyRate is the slowest that a request body may come, after its first
// stall period: below it a handful of agents could hold every connection.
const minBodyRate = 64 // bytes per second

// lingering is how long the rest of a request body is read that nobody wants any
// more, so that the agent reads the answer before it meets a closed connection.
const (
	lingering      = time.Second
	lingeringBytes = 1 << 20 // where a whole connection is given up
)

// errLeft is how a body ends that nobody wants any more.
var errLeft = errors.New("the rest of the request was given up")

// movingBody fails a request body that stands still or drips.
type movingBody struct {
	src   io.ReadCloser
	rc    *http.ResponseController
	stall time.Duration

	began, armed time.Time
	n            int64

	mu    sync.Mutex
	ended bool
	left  bool // nobody wants the rest: the deadline is no longer the reader's to set
}

// leave bounds the read that may be under way, and those that follow.
func (b *movingBody) leave(limit time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	b.left = true
	_ = b.rc.SetReadDeadline(time.Now().Add(limit))
}

func (b *movingBody) arm(deadline time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.left {
		_ = b.rc.SetReadDeadline(deadline)
	}
}

// Read implements io.Reader.
func (b *movingBody) Read(p []byte) (int, error) {
	now := time.Now()
	if b.began.IsZero() {
		b.began = now
	}
	if now.Sub(b.armed) > b.stall/4 {
		b.arm(now.Add(b.stall))
		b.armed = now
	}
	n, err := b.src.Read(p)
	b.n += int64(n)
	if err != nil {
		return n, b.end(err)
	}
	if age := time.Since(b.began); age > b.stall && float64(b.n) < age.Seconds()*minBodyRate {
		return n, fmt.Errorf("request body came at less than %d bytes per second: %w", minBodyRate, os.ErrDeadlineExceeded)
	}
	return n, nil
}

func (b *movingBody) end(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.Is(err, io.EOF):
		b.ended = true
		if !b.left {
			_ = b.rc.SetReadDeadline(time.Time{}) // what follows the body has limits of its own
		}
	case b.left:
		return errLeft
	}
	return err
}

// Close implements io.Closer. Over h2 net/http closes what it still reads, and
// waits for that.
func (b *movingBody) Close() error {
	b.leave(lingering)
	return b.src.Close()
}
