package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"
)

var errFrozen = errors.New("the exchange is over")

// digest hashes a body as it passes. Once frozen it passes nothing more, so that
// what the receipt says of the body stays true whoever still reads.
type digest struct {
	mu     sync.Mutex
	src    io.ReadCloser
	hash   hash.Hash // nil while nothing has passed
	n      int64
	err    error // the first error of src, io.EOF apart
	ended  bool  // src was read to its end
	frozen bool
	sum    [sha256.Size]byte // of freeze; a local one would be allocated
	limit  int64             // bytes that may pass; 0: any number
	onRead func(n int)       // called for each read; nil for none
}

func newDigest(src io.ReadCloser, limit int64, onRead func(n int)) *digest {
	return &digest{src: src, limit: limit, onRead: onRead}
}

// Read implements io.Reader. It may block in src while it holds the lock only
// for the bookkeeping.
func (d *digest) Read(b []byte) (int, error) {
	n, err := d.src.Read(b)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.frozen {
		return 0, errFrozen
	}
	if d.limit > 0 && d.n+int64(n) > d.limit {
		d.err = errOverBytes
		return 0, errOverBytes
	}
	if n > 0 {
		d.add(b[:n])
	}
	switch {
	case err == io.EOF:
		d.ended = true
	case err != nil && d.err == nil:
		d.err = err
	}
	if d.onRead != nil {
		d.onRead(n)
	}
	return n, err
}

func (d *digest) add(b []byte) {
	if d.hash == nil {
		d.hash = sha256.New()
	}
	d.hash.Write(b)
	d.n += int64(len(b))
}

// Close implements io.Closer.
func (d *digest) Close() error { return d.src.Close() }

// failed is the error that reading the body ended with, nil if none.
func (d *digest) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// whole reports whether the body has passed to its end.
func (d *digest) whole() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended
}

// stop freezes what has passed, where nobody asks yet what it was.
func (d *digest) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = true
}

// emptyDigest is the digest of no bytes, which most requests have.
const emptyDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// freeze returns the digest and the size of what has passed.
func (d *digest) freeze() (string, int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = true
	if d.hash == nil {
		return emptyDigest, 0
	}
	const prefix = "sha256:"
	var text [len(prefix) + 2*sha256.Size]byte
	sum := d.hash.Sum(d.sum[:0])
	return string(hex.AppendEncode(append(text[:0], prefix...), sum)), d.n
}
