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

// movingBody fails a request body that stands still or drips.
type movingBody struct {
	src   io.ReadCloser
	rc    *http.ResponseController
	stall time.Duration

	began, armed time.Time
	n            int64

	mu   sync.Mutex
	left bool // nobody wants the rest: the deadline is no longer the reader's to set
}

// leave bounds the read that may be under way, and those that follow.
func (b *movingBody) leave(limit time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
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
	if errors.Is(err, io.EOF) {
		b.arm(time.Time{}) // what follows the body has limits of its own
	}
	if err != nil {
		return n, err
	}
	if age := time.Since(b.began); age > b.stall && float64(b.n) < age.Seconds()*minBodyRate {
		return n, fmt.Errorf("request body came at less than %d bytes per second: %w", minBodyRate, os.ErrDeadlineExceeded)
	}
	return n, nil
}

// Close implements io.Closer.
func (b *movingBody) Close() error { return b.src.Close() }
