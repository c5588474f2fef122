// Package witnesses has witnesses of logs (C2SP tlog-cosignature, tlog-witness) for
// tests. It is written apart from what verifies them.
package witnesses

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// Cosigner is a witness's name and key.
type Cosigner struct {
	Name string
	Key  ed25519.PrivateKey
}

// NewCosigner returns the one of this name, whose key is made from it.
func NewCosigner(name string) Cosigner {
	seed := sha256.Sum256([]byte(name))
	return Cosigner{name, ed25519.NewKeyFromSeed(seed[:])}
}

// VerifierKey is what its cosignatures verify with.
func (c Cosigner) VerifierKey() string { return c.KeyOfType(4) }

// KeyOfType is a verifier key of any signature type of C2SP signed-note.
func (c Cosigner) KeyOfType(kind byte) string {
	material := c.material(kind)
	return fmt.Sprintf("%s+%x+%s", c.Name, c.id(material), base64.StdEncoding.EncodeToString(material))
}

func (c Cosigner) material(kind byte) []byte {
	pub, _ := c.Key.Public().(ed25519.PublicKey)
	return append([]byte{kind}, pub...)
}

func (c Cosigner) id(material []byte) []byte {
	sum := sha256.Sum256([]byte(c.Name + "\n" + string(material)))
	return sum[:4]
}

// Line is its cosignature of a checkpoint's text at a time, with a newline.
func (c Cosigner) Line(text string, at time.Time) string { return c.LineAt(text, uint64(at.Unix())) }

// LineAt is Line for any number of seconds, which may be no time.
func (c Cosigner) LineAt(text string, seconds uint64) string {
	sig := binary.BigEndian.AppendUint64(c.id(c.material(4)), seconds)
	sig = append(sig, ed25519.Sign(c.Key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text))...)
	return "— " + c.Name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
}
