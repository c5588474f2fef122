package receipts

import (
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// KeySet is the keys that a verifier was told to trust, by thumbprint.
type KeySet struct {
	byKID map[string]pinnedKey
}

// pinnedKey is a key and the parts of chains that it may sign; none given are
// all.
type pinnedKey struct {
	pub   ed25519.PublicKey
	valid []Validity
}

// ParseJWKS reads a JSON Web Key Set (RFC 7517 section 5). Keys other than
// Ed25519 (RFC 8037) are passed over, as section 5 asks for; an Ed25519 key must
// be one that DecodeKey accepts and that its kid, if it has one, is the RFC 7638
// thumbprint of. A key with the member validity, a list of Validity, signs
// nothing outside of what it lists. A key that stands in the set twice may sign
// what either says. A private key is an error, so that it is noticed, and so is a
// set with no key to verify with.
func ParseJWKS(data []byte) (*KeySet, error) {
	var doc struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("read a JWKS: %w", err)
	}
	set := &KeySet{byKID: make(map[string]pinnedKey)}
	for i := range doc.Keys {
		if doc.Keys[i].Kty != "OKP" || doc.Keys[i].Crv != "Ed25519" {
			continue
		}
		if err := set.add(&doc.Keys[i]); err != nil {
			return nil, fmt.Errorf("read a JWKS: keys[%d]%w", i, err)
		}
	}
	if len(set.byKID) == 0 {
		return nil, errors.New("read a JWKS: it holds no Ed25519 key (kty OKP, crv Ed25519)")
	}
	return set, nil
}

// Union is a set with the keys of several, each of which may sign what any of
// them says: those of several sidecars, or of a sidecar and a collector.
func Union(sets ...*KeySet) *KeySet {
	all := &KeySet{byKID: make(map[string]pinnedKey)}
	for _, set := range sets {
		for kid, key := range set.byKID {
			all.put(kid, key)
		}
	}
	return all
}

// put takes a key in, beside what is there of it.
func (s *KeySet) put(kid string, key pinnedKey) {
	if before, twice := s.byKID[kid]; twice {
		if before.valid == nil || key.valid == nil {
			key.valid = nil
		} else {
			key.valid = slices.Concat(before.valid, key.valid)
		}
	}
	s.byKID[kid] = key
}

type jwk struct {
	Kty      string     `json:"kty"`
	Crv      string     `json:"crv"`
	KID      string     `json:"kid"`
	X        string     `json:"x"`
	D        *string    `json:"d"`
	Validity []Validity `json:"validity"`
}

// add takes a key in. Its error goes on from the name of the key.
func (s *KeySet) add(k *jwk) error {
	if k.D != nil {
		return errors.New(" is a private key: replace it, and publish only x")
	}
	pub, err := DecodeKey(k.X)
	if err != nil {
		return fmt.Errorf(".x: %w", err)
	}
	kid := KeyID(pub)
	if k.KID != "" && k.KID != kid {
		return fmt.Errorf(".kid is %q, but the key's thumbprint is %q", k.KID, kid)
	}
	if k.Validity != nil && len(k.Validity) == 0 {
		return errors.New(".validity is empty: leave it out for a key that is always valid, and leave out the key that never is")
	}
	for i := range k.Validity {
		if err := k.Validity[i].check(); err != nil {
			return fmt.Errorf(".validity[%d].%w", i, err)
		}
	}
	s.put(kid, pinnedKey{pub: pub, valid: k.Validity})
	return nil
}

// Keys are the keys of the set, once for each validity that they have: by chain,
// and by where in it they begin.
func (s *KeySet) Keys() []ChainKey {
	var keys []ChainKey
	for kid, k := range s.byKID {
		if k.valid == nil {
			keys = append(keys, ChainKey{KID: kid, PublicKey: k.pub})
		}
		for _, v := range k.valid {
			keys = append(keys, ChainKey{KID: kid, PublicKey: k.pub, Validity: v})
		}
	}
	slices.SortFunc(keys, func(a, b ChainKey) int {
		return cmp.Or(cmp.Compare(a.Chain, b.Chain), cmp.Compare(a.FromSeq, b.FromSeq), cmp.Compare(a.KID, b.KID))
	})
	return keys
}

// Key is the key of this thumbprint, or nil.
func (s *KeySet) Key(kid string) ed25519.PublicKey { return s.byKID[kid].pub }

// admits tells whether the set lets the key that h names sign h's record. It has
// no say in keys that it does not hold.
func (s *KeySet) admits(h *Head) error {
	if s == nil || s.byKID[h.KID].valid == nil {
		return nil
	}
	valid := s.byKID[h.KID].valid
	for i := range valid {
		if valid[i].covers(h) {
			return nil
		}
	}
	for i := range valid {
		if valid[i].Chain == h.Chain.ID {
			return fmt.Errorf("signed with key %s outside of its validity, %s", h.KID, &valid[i])
		}
	}
	return fmt.Errorf("signed with key %s, which the key set has for other chains only", h.KID)
}

// JWKS is the document that ParseJWKS reads, with the keys in the order given. A
// key with the zero Validity is valid everywhere.
func JWKS(keys ...ChainKey) []byte {
	b := []byte(`{"keys":[`)
	for i := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"alg":"EdDSA","crv":"Ed25519"`...)
		b = appendText(b, "kid", KeyID(keys[i].PublicKey))
		b = append(b, `,"kty":"OKP","use":"sig"`...)
		if keys[i].Validity != (Validity{}) {
			b = append(appendName(b, "validity"), '[')
			b = append(appendValidity(b, &keys[i].Validity), ']')
		}
		b = appendText(b, "x", EncodeKey(keys[i].PublicKey))
		b = append(b, '}')
	}
	return append(b, ']', '}')
}

func appendValidity(b []byte, v *Validity) []byte {
	b = append(b, '{')
	b = appendText(b, "chain", v.Chain)
	b = appendTime(b, "from", v.From)
	b = appendInt(b, "from_seq", v.FromSeq)
	if !v.To.IsZero() {
		b = appendTime(b, "to", v.To)
	}
	if v.ToSeq != 0 {
		b = appendInt(b, "to_seq", v.ToSeq)
	}
	return append(b, '}')
}
