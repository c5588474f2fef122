package receipts

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
)

// KeySet is the keys that a verifier was told to trust, by thumbprint.
type KeySet struct {
	byKID map[string]ed25519.PublicKey
}

// ParseJWKS reads a JSON Web Key Set (RFC 7517 section 5). Keys other than
// Ed25519 (RFC 8037) are passed over, as section 5 asks for; an Ed25519 key must
// be one that DecodeKey accepts and that its kid, if it has one, is the RFC 7638
// thumbprint of. A private key is an error, so that it is noticed, and so is a
// set with no key to verify with.
func ParseJWKS(data []byte) (*KeySet, error) {
	var doc struct {
		Keys []struct {
			Kty string  `json:"kty"`
			Crv string  `json:"crv"`
			KID string  `json:"kid"`
			X   string  `json:"x"`
			D   *string `json:"d"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("read a JWKS: %w", err)
	}
	set := &KeySet{byKID: make(map[string]ed25519.PublicKey)}
	for i, k := range doc.Keys {
		if k.Kty != "OKP" || k.Crv != "Ed25519" {
			continue
		}
		if k.D != nil {
			return nil, fmt.Errorf("read a JWKS: keys[%d] is a private key: replace it, and publish only x", i)
		}
		pub, err := DecodeKey(k.X)
		if err != nil {
			return nil, fmt.Errorf("read a JWKS: keys[%d].x: %w", i, err)
		}
		kid := KeyID(pub)
		if k.KID != "" && k.KID != kid {
			return nil, fmt.Errorf("read a JWKS: keys[%d].kid is %q, but the key's thumbprint is %q", i, k.KID, kid)
		}
		set.byKID[kid] = pub
	}
	if len(set.byKID) == 0 {
		return nil, errors.New("read a JWKS: it holds no Ed25519 key (kty OKP, crv Ed25519)")
	}
	return set, nil
}

// JWKS is the document that ParseJWKS reads, with the keys in the order given.
func JWKS(pubs ...ed25519.PublicKey) []byte {
	b := []byte(`{"keys":[`)
	for i, pub := range pubs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"alg":"EdDSA","crv":"Ed25519"`...)
		b = appendText(b, "kid", KeyID(pub))
		b = append(b, `,"kty":"OKP","use":"sig"`...)
		b = appendText(b, "x", EncodeKey(pub))
		b = append(b, '}')
	}
	return append(b, ']', '}')
}
