package receipts

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// DecodeKey reads a public key as records and JWKS hold it: exactly 32 bytes of
// strict unpadded base64url. It refuses keys under which a signature proves
// nothing: those of small order, and encodings that are not the canonical one
// (RFC 8032 section 5.1.3), which would give one key two thumbprints.
func DecodeKey(s string) (ed25519.PublicKey, error) {
	pub, err := decodeExact(s, ed25519.PublicKeySize)
	if err != nil {
		return nil, err
	}
	if err := checkKey(pub); err != nil {
		return nil, err
	}
	return pub, nil
}

// EncodeKey is a public key as records and JWKS hold it.
func EncodeKey(pub ed25519.PublicKey) string { return strict.EncodeToString(pub) }

// fieldPrime is 2^255-19 in hex. A canonical y coordinate is below it.
const fieldPrime = "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed"

// smallOrder has the y coordinates of the eight points whose order divides the
// cofactor 8, in hex; a test computes them anew.
var smallOrder = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000001",
	"05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826",
	"7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7",
	"7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec",
}

func checkKey(pub ed25519.PublicKey) error {
	y := bytes.Clone(pub)
	y[31] &= 0x7f // the top bit is the sign of x
	slices.Reverse(y)
	number := hex.EncodeToString(y)
	if number >= fieldPrime {
		return errors.New("not the canonical encoding of a key")
	}
	if slices.Contains(smallOrder[:], number) {
		return errors.New("a key of small order, under which anybody can sign")
	}
	return nil
}

// decodeExact decodes strict unpadded base64url of exactly n bytes.
func decodeExact(s string, n int) ([]byte, error) { return appendExact(nil, s, n) }

// appendExact appends what decodeExact returns. The length of the text is checked
// too, because the decoder skips line breaks.
func appendExact(dst []byte, s string, n int) ([]byte, error) {
	if want := strict.EncodedLen(n); len(s) != want {
		return nil, fmt.Errorf("%d characters, not the %d of %d bytes in unpadded base64url", len(s), want, n)
	}
	b, err := strict.AppendDecode(dst, []byte(s))
	if err != nil || len(b) != len(dst)+n {
		return nil, fmt.Errorf("not the unpadded base64url of %d bytes", n)
	}
	return b, nil
}
