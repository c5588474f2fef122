package receipts

import (
	"crypto/ed25519"
	"fmt"
	"time"
)

// The types of the documents that sidecar and collector exchange about a chain.
// They stand outside of it, and have no seq of their own.
const (
	TypeAck       Type = "signet.ack/1"
	TypeHeartbeat Type = "signet.heartbeat/1"
)

// maxStatement is the longest ack or heartbeat, in bytes; ours have some 500.
const maxStatement = 4096

// Ack is the collector's statement that it has committed the records of a chain
// up to and including a seq. Its key is the collector's.
type Ack struct {
	Type        Type      `json:"type"`
	Chain       string    `json:"chain"` // UUIDv7
	Seq         int64     `json:"seq"`
	ReceiptHash string    `json:"receipt_hash"` // of the record at seq
	Tenant      string    `json:"tenant"`
	TS          time.Time `json:"ts"` // the collector's clock
	KID         string    `json:"kid"`
	Signature   string    `json:"signature,omitempty"` // like a record's, over the ack without it
}

// SealAck signs an ack, filling in Type, KID and Signature, and returns the document.
func SealAck(key ed25519.PrivateKey, a *Ack) []byte {
	a.Type, a.KID, a.TS, a.Signature = TypeAck, privateKeyID(key), a.TS.UTC().Truncate(time.Millisecond), ""
	a.Signature = Sign(key, TypeAck, EncodeDocument(a))
	return EncodeDocument(a)
}

// ParseAck reads an ack that one of keys has signed.
func ParseAck(document []byte, keys *KeySet) (*Ack, error) {
	a := new(Ack)
	if err := decodeStatement(document, a); err != nil {
		return nil, fmt.Errorf("read an ack: %w", err)
	}
	var v validation
	v.statement(a.Chain, a.KID, a.ReceiptHash, a.Seq, a.TS)
	v.text("tenant", a.Tenant)
	if err := v.result(); err != nil {
		return nil, fmt.Errorf("read an ack: %w", err)
	}
	key := keys.Key(a.KID)
	if key == nil {
		return nil, fmt.Errorf("read an ack: signed with key %s, which is not in the key set", a.KID)
	}
	unsigned := *a
	unsigned.Signature = ""
	if err := signedStatement(key, a.Type, TypeAck, EncodeDocument(&unsigned), a.Signature); err != nil {
		return nil, fmt.Errorf("read an ack: %w", err)
	}
	return a, nil
}

// Heartbeat is the sidecar's statement that it lives and where its chain ends,
// shipped or not. Its key is the one that signs the chain there.
type Heartbeat struct {
	Type        Type      `json:"type"`
	Chain       string    `json:"chain"`        // UUIDv7
	Seq         int64     `json:"seq"`          // of the chain's last record
	ReceiptHash string    `json:"receipt_hash"` // of that record
	TS          time.Time `json:"ts"`           // the sidecar's clock
	KID         string    `json:"kid"`
	Signature   string    `json:"signature,omitempty"` // like a record's, over the heartbeat without it
}

// SealHeartbeat signs a heartbeat, filling in Type, KID and Signature, and
// returns the document.
func SealHeartbeat(key ed25519.PrivateKey, h *Heartbeat) []byte {
	h.Type, h.KID, h.TS, h.Signature = TypeHeartbeat, privateKeyID(key), h.TS.UTC().Truncate(time.Millisecond), ""
	h.Signature = Sign(key, TypeHeartbeat, EncodeDocument(h))
	return EncodeDocument(h)
}

// ParseHeartbeat reads a heartbeat that the key has signed.
func ParseHeartbeat(document []byte, key ed25519.PublicKey) (*Heartbeat, error) {
	h := new(Heartbeat)
	if err := decodeStatement(document, h); err != nil {
		return nil, fmt.Errorf("read a heartbeat: %w", err)
	}
	var v validation
	v.statement(h.Chain, h.KID, h.ReceiptHash, h.Seq, h.TS)
	if err := v.result(); err != nil {
		return nil, fmt.Errorf("read a heartbeat: %w", err)
	}
	if kid := KeyID(key); kid != h.KID {
		return nil, fmt.Errorf("read a heartbeat: signed with key %s, but the chain's key is %s", h.KID, kid)
	}
	unsigned := *h
	unsigned.Signature = ""
	if err := signedStatement(key, h.Type, TypeHeartbeat, EncodeDocument(&unsigned), h.Signature); err != nil {
		return nil, fmt.Errorf("read a heartbeat: %w", err)
	}
	return h, nil
}

func decodeStatement(document []byte, into any) error {
	if len(document) > maxStatement {
		return &SyntaxError{fmt.Errorf("%d bytes; it has at most %d", len(document), maxStatement)}
	}
	return DecodeDocument(document, into)
}

// statement checks what an ack and a heartbeat have in common.
func (v *validation) statement(chain, kid, hash string, seq int64, ts time.Time) {
	v.uuid("chain", chain)
	v.exact("kid", kid, 32)
	v.digest("receipt_hash", hash)
	v.integer("seq", seq, 1, maxInt)
	v.time("ts", ts)
}

func signedStatement(key ed25519.PublicKey, got, want Type, core []byte, signature string) error {
	if got != want {
		return &TypeError{Type: string(got)}
	}
	return VerifySignature(key, want, core, signature)
}

func privateKeyID(key ed25519.PrivateKey) string {
	pub, _ := key.Public().(ed25519.PublicKey)
	return KeyID(pub)
}
