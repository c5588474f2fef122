package receipts

import (
	"crypto/sha256"
	"encoding/hex"
)

const (
	digestPrefix = "sha256:"
	digestLen    = len(digestPrefix) + 2*sha256.Size
	detailDomain = "signet.detail/1\n"
)

// Hash is a record's receipt_hash: "sha256:" and the lower-case hex of SHA-256
// over its core. It is the form of every digest in a record.
func Hash(core []byte) string {
	sum := sha256.Sum256(core)
	var b [digestLen]byte
	hex.Encode(b[copy(b[:], digestPrefix):], sum[:])
	return string(b[:])
}

// DetailDigest is what a receipt's core holds of its detail: SHA-256 over
// "signet.detail/1\n" and the canonical form of the detail, as Hash writes it.
// The salt in the detail keeps a withheld one from being guessed.
func DetailDigest(d *Detail) string {
	buf := make([]byte, 0, 2048)
	buf = append(buf, detailDomain...)
	return Hash(AppendDetail(buf, d))
}

// isDigest tells whether s has the form that Hash gives.
func isDigest(s string) bool {
	return len(s) == digestLen && s[:len(digestPrefix)] == digestPrefix && isLowerHex(s[len(digestPrefix):])
}

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
