package receipts

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// strict is unpadded base64url (RFC 4648 section 5) that refuses trailing bits.
var strict = base64.RawURLEncoding.Strict()

// keyDomain is signed before the body of a key change's proof.
const keyDomain = "signet.key/1"

// Sign signs a record's core: Ed25519 (RFC 8032) over the type, a newline and
// the core, in unpadded base64url. The key must have been derived from its seed
// (ed25519.NewKeyFromSeed, x509.ParsePKCS8PrivateKey): a key with a public half
// that is not its own would give itself away.
func Sign(key ed25519.PrivateKey, t Type, core []byte) string {
	var room [2048]byte // most records have less
	return strict.EncodeToString(ed25519.Sign(key, appendSigned(room[:0], string(t), core)))
}

// signed is what is signed: one prefix a type, so that no signature can be read
// as one over something else.
func signed(domain string, body []byte) []byte {
	return appendSigned(make([]byte, 0, len(domain)+1+len(body)), domain, body)
}

func appendSigned(dst []byte, domain string, body []byte) []byte {
	dst = append(dst, domain...)
	dst = append(dst, '\n')
	return append(dst, body...)
}

// VerifySignature checks a signature as Sign makes it.
func VerifySignature(pub ed25519.PublicKey, t Type, core []byte, signature string) error {
	return verify(pub, string(t), core, signature)
}

// verify checks a signature over a body in a domain. The lengths are checked first,
// since ed25519.Verify panics on a key of the wrong one.
func verify(pub ed25519.PublicKey, domain string, body []byte, signature string) error {
	if len(pub) != ed25519.PublicKeySize {
		return fmt.Errorf("the public key has %d bytes, not %d", len(pub), ed25519.PublicKeySize)
	}
	sig, err := decodeExact(signature, ed25519.SignatureSize)
	if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	if !ed25519.Verify(pub, signed(domain, body), sig) {
		return fmt.Errorf("the key %s did not sign this", KeyID(pub))
	}
	return nil
}

// KeyID is a key's RFC 7638 thumbprint, which a record names as kid: SHA-256
// over the required members of its JWK (RFC 8037 section 2), base64url.
func KeyID(pub ed25519.PublicKey) string {
	jwk := make([]byte, 0, 96)
	jwk = append(jwk, `{"crv":"Ed25519","kty":"OKP","x":"`...)
	jwk = strict.AppendEncode(jwk, pub)
	jwk = append(jwk, `"}`...)
	sum := sha256.Sum256(jwk)
	return strict.EncodeToString(sum[:])
}

// NewKeyChange introduces the key that signs a chain from the next record on.
// The event that holds it is signed by the old key; the proof is the new key's
// signature over the chain and both keys, so that nobody can introduce a key
// that is not theirs.
func NewKeyChange(newKey ed25519.PrivateKey, chainID, prevKID string) *KeyChange {
	pub, _ := newKey.Public().(ed25519.PublicKey)
	c := &KeyChange{KID: KeyID(pub), PublicKey: EncodeKey(pub)}
	c.Proof = strict.EncodeToString(ed25519.Sign(newKey, signed(keyDomain, c.statement(chainID, prevKID))))
	return c
}

// statement is the canonical form of what the new key signs.
func (c *KeyChange) statement(chainID, prevKID string) []byte {
	b := []byte{'{'}
	b = appendText(b, "chain", chainID)
	b = appendText(b, "kid", c.KID)
	b = appendText(b, "prev_kid", prevKID)
	b = appendText(b, "public_key", c.PublicKey)
	return append(b, '}')
}

// check verifies a key change in its chain and returns the new key.
func (c *KeyChange) check(chainID, prevKID string) (ed25519.PublicKey, error) {
	pub, err := DecodeKey(c.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("key.public_key: %w", err)
	}
	if id := KeyID(pub); id != c.KID {
		return nil, fmt.Errorf("key.kid is %q, but the thumbprint of key.public_key is %q", c.KID, id)
	}
	if c.KID == prevKID {
		return nil, fmt.Errorf("the key %s is introduced as its own successor", prevKID)
	}
	if err := verify(pub, keyDomain, c.statement(chainID, prevKID), c.Proof); err != nil {
		return nil, fmt.Errorf("key.proof: %w", err)
	}
	return pub, nil
}
