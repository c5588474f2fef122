package receipts

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"
)

// ChainKey is one key of a chain and where in the chain it signs.
type ChainKey struct {
	KID       string
	PublicKey ed25519.PublicKey
	Validity
}

// Validity is the part of a chain that a key may sign, in sequence and in time;
// both bounds are inclusive. A record outside of it is none of the key's,
// whatever its signature is worth.
type Validity struct {
	Chain   string    `json:"chain"`
	FromSeq int64     `json:"from_seq"`
	From    time.Time `json:"from"` // ts of the record that introduced the key
	ToSeq   int64     `json:"to_seq,omitempty"`
	To      time.Time `json:"to,omitzero"` // ts of the last record; both are absent while the key signs
}

// Verify tells whether r is signed with the key and within its validity.
func (k *ChainKey) Verify(r Record) error {
	h := r.RecordHead()
	if h.KID != k.KID {
		return fmt.Errorf("signed with key %s, not with %s", h.KID, k.KID)
	}
	if !k.covers(h) {
		return fmt.Errorf("signed with key %s outside of its validity, %s", h.KID, &k.Validity)
	}
	return verify(k.PublicKey, string(r.RecordType()), AppendCore(nil, r), h.Signature)
}

// SucceededBy returns the key as the key change that h heads retires it, and the
// key pub, which signs from the next record on.
func (k *ChainKey) SucceededBy(pub ed25519.PublicKey, h *Head) (retired, next ChainKey) {
	retired = *k
	retired.ToSeq, retired.To = h.Chain.Seq, h.TS
	return retired, ChainKey{KID: KeyID(pub), PublicKey: pub, Validity: Validity{Chain: h.Chain.ID, FromSeq: h.Chain.Seq + 1, From: h.TS}}
}

// Introduced returns the keys that a chain's genesis and its key changes, given
// in order, bring in. It checks who signed the records and the proofs in them,
// and nothing of what stands between.
func Introduced(records []Record) ([]ChainKey, error) {
	var keys chainKeys
	for i, r := range records {
		if g, ok := r.(*Genesis); ok && i == 0 {
			pub, err := DecodeKey(g.PublicKey)
			if err != nil {
				return nil, fmt.Errorf("seq %d: public_key: %w", g.Chain.Seq, err)
			}
			keys.begin(&g.Head, pub)
		}
		if len(keys) == 0 {
			return nil, errors.New("the first key is introduced by a genesis")
		}
		if err := keys.current().Verify(r); err != nil {
			return nil, fmt.Errorf("seq %d: %w", r.RecordHead().Chain.Seq, err)
		}
		if i == 0 {
			continue
		}
		e, ok := r.(*Event)
		if !ok || e.Event != EventKeyChange {
			return nil, fmt.Errorf("seq %d introduces no key", r.RecordHead().Chain.Seq)
		}
		if err := keys.succeed(&e.Head, e.Key); err != nil {
			return nil, fmt.Errorf("seq %d: %w", e.Chain.Seq, err)
		}
	}
	return keys, nil
}

// covers tells whether a record with this head is within.
func (v *Validity) covers(h *Head) bool {
	return v.Chain == h.Chain.ID &&
		h.Chain.Seq >= v.FromSeq && (v.ToSeq == 0 || h.Chain.Seq <= v.ToSeq) &&
		!h.TS.Before(v.From) && (v.To.IsZero() || !h.TS.After(v.To))
}

func (v *Validity) String() string {
	s := fmt.Sprintf("from seq %d, %s", v.FromSeq, v.From.UTC().Format(timeLayout))
	if v.ToSeq != 0 {
		s += fmt.Sprintf(", to seq %d", v.ToSeq)
	}
	if !v.To.IsZero() {
		s += ", " + v.To.UTC().Format(timeLayout)
	}
	return s
}

// check refuses what no key can have.
func (v *Validity) check() error {
	var c validation
	c.uuid("chain", v.Chain)
	c.integer("from_seq", v.FromSeq, 1, maxInt)
	c.time("from", v.From)
	if v.ToSeq != 0 {
		c.integer("to_seq", v.ToSeq, v.FromSeq, maxInt)
	}
	if !v.To.IsZero() && v.To.Before(v.From) {
		c.fail("to", "%s is before from", v.To.Format(timeLayout))
	}
	return c.result()
}

// chainKeys are the keys that a chain has had, in order; the last one signs.
type chainKeys []ChainKey

func (k chainKeys) current() *ChainKey { return &k[len(k)-1] }

// begin takes the key of the first record that was read.
func (k *chainKeys) begin(h *Head, pub ed25519.PublicKey) {
	*k = chainKeys{{KID: h.KID, PublicKey: pub, Validity: Validity{Chain: h.Chain.ID, FromSeq: h.Chain.Seq, From: h.TS}}}
}

// succeed takes over from the key change that h heads. A key that has signed
// before cannot come back: it may be the reason why it was changed.
func (k *chainKeys) succeed(h *Head, change *KeyChange) error {
	pub, err := change.check(h.Chain.ID, k.current().KID)
	if err != nil {
		return err
	}
	for i := range *k {
		if old := &(*k)[i]; old.KID == change.KID {
			return fmt.Errorf("the key %s is introduced again; it was valid %s", old.KID, &old.Validity)
		}
	}
	retired, next := k.current().SucceededBy(pub, h)
	*k = append((*k)[:len(*k)-1], retired, next)
	return nil
}
