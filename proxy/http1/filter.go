package http1

import (
	"errors"
	"io"
	"net"
	"slices"

	"github.com/signet-egress/signet/proxy/framing"
)

const heldRead = 4 << 10 // bytes that are read at once into what is held

// filter reads what an upstream sends, as far as framing lets it through.
type filter struct {
	src     net.Conn
	answers framing.Responses
	held    []byte         // read, and not given on yet
	passed  int            // how much of held framing has let through
	refusal *framing.Error // why nothing more is; nil while all is well
	touched bool           // something has come since the last request
}

// expect begins an exchange.
func (f *filter) expect(method string) {
	f.answers.Expect(method)
	f.touched = false
}

// ready reports whether all that has come was an answer, and whole.
func (f *filter) ready() bool {
	return f.refusal == nil && len(f.held) == 0 && f.answers.Whole()
}

// Read implements io.Reader.
func (f *filter) Read(p []byte) (int, error) {
	for f.passed == 0 {
		switch n, err := f.fill(p); {
		case n > 0:
			return n, nil
		case err != nil:
			return 0, err
		}
	}
	n := copy(p, f.held[:f.passed])
	f.passed -= n
	if f.held = f.held[n:]; len(f.held) == 0 {
		f.held = nil
	}
	return n, nil
}

// fill reads once. What is let through at once it reads into p, and returns how
// much that is.
func (f *filter) fill(p []byte) (int, error) {
	if f.refusal != nil {
		return 0, f.refusal
	}
	if len(f.held) == 0 {
		n, err := f.src.Read(p)
		if n == 0 {
			return 0, err
		}
		f.touched = true
		passed, refusal := f.answers.Pass(p[:n])
		f.held, f.refusal = slices.Clone(p[passed:n]), refusal
		return passed, nil
	}
	f.held = slices.Grow(f.held, heldRead)
	n, err := f.src.Read(f.held[len(f.held) : len(f.held)+heldRead])
	if n == 0 {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	f.held = f.held[:len(f.held)+n]
	f.passed, f.refusal = f.answers.Pass(f.held)
	return 0, nil
}
