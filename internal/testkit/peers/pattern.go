package peers

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// period is a prime, so that a byte lost or doubled at a buffer's edge shifts
// all that follows.
const period = 251

// pattern is two buffers' worth, so that any 32 KiB of it are one slice.
var pattern = func() []byte {
	b := make([]byte, 32<<10+period)
	for i := range b {
		b[i] = byte(i % period)
	}
	return b
}()

// Pattern is an endless body: byte i is i mod 251. It holds no memory of its own.
type Pattern struct{ offset int64 }

// NewPattern starts at byte 0.
func NewPattern() *Pattern { return &Pattern{} }

// Read never fails and always fills p up to 32 KiB.
func (p *Pattern) Read(b []byte) (int, error) {
	n := copy(b, patternAt(p.offset, len(b)))
	p.offset += int64(n)
	return n, nil
}

func patternAt(offset int64, n int) []byte {
	start := int(offset % period)
	return pattern[start : start+min(n, len(pattern)-period)]
}

// PatternDigest is the hex SHA-256 of the first n bytes of a Pattern.
func PatternDigest(n int64) string {
	hash := sha256.New()
	_, _ = io.CopyN(hash, NewPattern(), n)
	return hex.EncodeToString(hash.Sum(nil))
}
