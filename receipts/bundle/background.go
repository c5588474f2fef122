package bundle

import (
	"errors"
	"io"
	"sync/atomic"
)

// background writes in a goroutine of its own, so that compression goes on
// beside the reading.
type background struct {
	current []byte
	full    chan []byte
	empty   chan []byte
	failed  atomic.Bool
	done    chan error // the first error of any write, once the goroutine has ended
}

const (
	chunkSize = 256 << 10
	chunks    = 4
)

// errFailed ends the reading when there is nothing to write to any more; close
// tells why.
var errFailed = errors.New("writing has failed")

// newBackground starts the goroutine that close stops.
func newBackground(w io.Writer) *background {
	b := &background{full: make(chan []byte, chunks), empty: make(chan []byte, chunks), done: make(chan error, 1)}
	for range chunks {
		b.empty <- make([]byte, 0, chunkSize)
	}
	go b.run(w)
	b.current = <-b.empty
	return b
}

func (b *background) run(w io.Writer) {
	var failed error
	for chunk := range b.full {
		if failed == nil {
			_, failed = w.Write(chunk)
			b.failed.Store(failed != nil)
		}
		b.empty <- chunk[:0]
	}
	b.done <- failed
}

func (b *background) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), chunkSize-len(b.current))
		b.current = append(b.current, p[:n]...)
		p = p[n:]
		if len(b.current) == chunkSize {
			b.full <- b.current
			b.current = <-b.empty
		}
	}
	if b.failed.Load() {
		return errFailed
	}
	return nil
}

// close writes what is left, and returns the first error of any write.
func (b *background) close() error {
	b.full <- b.current
	close(b.full)
	return <-b.done
}
