package receipts

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
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
	Chain       string    `json:"chain"` // UUIDv7
	KID         string    `json:"kid"`
	ReceiptHash string    `json:"receipt_hash"` // of the record at seq
	Seq         int64     `json:"seq"`
	Signature   string    `json:"signature"`
	Tenant      string    `json:"tenant"`
	TS          time.Time `json:"ts"` // the collector's clock
}

// SealAck signs an ack, filling in KID and Signature, and returns the document.
func SealAck(key ed25519.PrivateKey, a *Ack) []byte {
	a.KID, a.TS = privateKeyID(key), a.TS.UTC().Truncate(time.Millisecond)
	a.Signature = Sign(key, TypeAck, a.encode(false))
	return a.encode(true)
}

// ParseAck reads an ack that one of keys has signed. It accepts exactly what
// SealAck writes.
func ParseAck(document []byte, keys *KeySet) (*Ack, error) {
	a := new(Ack)
	if err := decodeStatement(document, a); err != nil {
		return nil, fmt.Errorf("read an ack: %w", err)
	}
	key := keys.Key(a.KID)
	if key == nil {
		return nil, fmt.Errorf("read an ack: signed with key %s, which is not in the key set", a.KID)
	}
	if err := verify(key, string(TypeAck), a.encode(false), a.Signature); err != nil {
		return nil, fmt.Errorf("read an ack: %w", err)
	}
	return a, nil
}

func (a *Ack) encode(whole bool) []byte {
	b := []byte{'{'}
	b = appendText(b, "chain", a.Chain)
	b = appendText(b, "kid", a.KID)
	b = appendText(b, "receipt_hash", a.ReceiptHash)
	b = appendInt(b, "seq", a.Seq)
	if whole {
		b = appendText(b, "signature", a.Signature)
	}
	b = appendText(b, "tenant", a.Tenant)
	b = appendTime(b, "ts", a.TS)
	b = appendText(b, "type", string(TypeAck))
	return append(b, '}')
}

func (a *Ack) check(v *validation) {
	v.statement(a.Chain, a.KID, a.ReceiptHash, a.Signature, a.Seq, a.TS)
	v.text("tenant", a.Tenant)
}

// Heartbeat is the sidecar's statement that it lives and where its chain ends,
// shipped or not. Its key is the one that signs the chain there.
type Heartbeat struct {
	Chain       string    `json:"chain"` // UUIDv7
	KID         string    `json:"kid"`
	ReceiptHash string    `json:"receipt_hash"` // of the record at seq
	Seq         int64     `json:"seq"`          // of the chain's last record
	Signature   string    `json:"signature"`
	TS          time.Time `json:"ts"` // the sidecar's clock
}

// SealHeartbeat signs a heartbeat, filling in KID and Signature, and returns the
// document.
func SealHeartbeat(key ed25519.PrivateKey, h *Heartbeat) []byte {
	h.KID, h.TS = privateKeyID(key), h.TS.UTC().Truncate(time.Millisecond)
	h.Signature = Sign(key, TypeHeartbeat, h.encode(false))
	return h.encode(true)
}

// ParseHeartbeat reads a heartbeat that the key has signed. It accepts exactly
// what SealHeartbeat writes.
func ParseHeartbeat(document []byte, key ed25519.PublicKey) (*Heartbeat, error) {
	h := new(Heartbeat)
	if err := decodeStatement(document, h); err != nil {
		return nil, fmt.Errorf("read a heartbeat: %w", err)
	}
	if kid := KeyID(key); kid != h.KID {
		return nil, fmt.Errorf("read a heartbeat: signed with key %s, but the chain's key is %s", h.KID, kid)
	}
	if err := verify(key, string(TypeHeartbeat), h.encode(false), h.Signature); err != nil {
		return nil, fmt.Errorf("read a heartbeat: %w", err)
	}
	return h, nil
}

func (h *Heartbeat) encode(whole bool) []byte {
	b := []byte{'{'}
	b = appendText(b, "chain", h.Chain)
	b = appendText(b, "kid", h.KID)
	b = appendText(b, "receipt_hash", h.ReceiptHash)
	b = appendInt(b, "seq", h.Seq)
	if whole {
		b = appendText(b, "signature", h.Signature)
	}
	b = appendTime(b, "ts", h.TS)
	b = appendText(b, "type", string(TypeHeartbeat))
	return append(b, '}')
}

func (h *Heartbeat) check(v *validation) {
	v.statement(h.Chain, h.KID, h.ReceiptHash, h.Signature, h.Seq, h.TS)
}

// statement checks what an ack and a heartbeat have in common.
func (v *validation) statement(chain, kid, hash, signature string, seq int64, ts time.Time) {
	v.uuid("chain", chain)
	v.exact("kid", kid, 32)
	v.digest("receipt_hash", hash)
	v.integer("seq", seq, 1, maxInt)
	v.exact("signature", signature, 64)
	v.time("ts", ts)
}

// decodeStatement reads an *Ack or a *Heartbeat. What encoding/json lets pass,
// such as an unknown member or another type, shows when it is written again.
func decodeStatement(document []byte, into interface {
	encode(whole bool) []byte
	check(v *validation)
},
) error {
	if len(document) > maxStatement {
		return &SyntaxError{fmt.Errorf("%d bytes; it has at most %d", len(document), maxStatement)}
	}
	if err := json.Unmarshal(document, into); err != nil {
		return &SyntaxError{err}
	}
	var v validation
	into.check(&v)
	if err := v.result(); err != nil {
		return err
	}
	if again := into.encode(true); !bytes.Equal(again, document) {
		return &CanonicalError{Offset: commonPrefix(again, document)}
	}
	return nil
}

func privateKeyID(key ed25519.PrivateKey) string {
	pub, _ := key.Public().(ed25519.PublicKey)
	return KeyID(pub)
}
