// Package facts remembers values of trusted answers, so that later payloads can
// be held against them.
//
// Facts are payload values: they live in a file of their own, facts.db, for a
// time and within bounds, and never in the journal. They are no evidence. What
// the store has lost, for whatever reason, is a fact that is missing, and a
// contract that needs it denies.
package facts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/signet-egress/signet/internal/jsonx"
)

// Scope says who shares a fact.
type Scope string

// The scopes: the exchanges of one trace of one agent, those of one agent, and
// all.
const (
	ScopeTrace  Scope = "trace"
	ScopeAgent  Scope = "agent"
	ScopeTenant Scope = "tenant"
)

// Key is what a fact is found by.
type Key struct {
	Fact string // its name
	Scope
	// Agent and Trace are those of the exchange; the scope says which of them
	// count. Agents choose trace ids, so a trace is always one agent's.
	Agent, Trace string
	// Of is which of the facts of that name it is; see KeyOf.
	Of string
}

// KeyOf makes a Key's Of of a value that names a thing: a string or a number, as
// it is written. "7", 7 and 7.0 are three.
func KeyOf(v *jsonx.Value) (string, error) {
	if v == nil || v.Kind != jsonx.String && v.Kind != jsonx.Number {
		return "", errors.New("the key of a fact is a string or a number")
	}
	return string(jsonx.Append(nil, v)), nil
}

// Fact is a value and where it came from.
type Fact struct {
	Value *jsonx.Value
	// ReceiptID is the receipt of the exchange whose answer it was in.
	ReceiptID string
	Captured  time.Time
	Expires   time.Time // from then on it is gone
}

// encode is the key in the file: parts with their lengths, so that no two keys
// share one.
func (k Key) encode() ([]byte, error) {
	parts := []string{string(k.Scope), k.Fact, "", "", k.Of}
	switch k.Scope {
	case ScopeTrace:
		parts[2], parts[3] = k.Agent, k.Trace
	case ScopeAgent:
		parts[2] = k.Agent
	case ScopeTenant:
	default:
		return nil, fmt.Errorf("fact %s: a scope is trace, agent or tenant, not %q", k.Fact, k.Scope)
	}
	var b []byte
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	if len(b) > maxKey {
		return nil, fmt.Errorf("fact %s: %w: its key has %d bytes, of at most %d", k.Fact, ErrTooLarge, len(b), maxKey)
	}
	return b, nil
}

// maxKey bounds keys well below what bbolt can store.
const maxKey = 4 << 10

// record is a fact in the file: a checksum, then seq, captured and expires as 8
// bytes each, big-endian, the times as nanoseconds since 1970, then the receipt's
// id with its length, then the value as JSON.
type record struct {
	seq               uint64
	captured, expires int64
	receiptID         string
	value             []byte
}

const (
	checksumSize = 4
	headSize     = checksumSize + 3*8
)

var errDamaged = errors.New("a record is damaged")

// encode covers the key too, so that no record stands for another's.
func (r *record) encode(key []byte) []byte {
	b := make([]byte, checksumSize, headSize+1+len(r.receiptID)+len(r.value))
	b = binary.BigEndian.AppendUint64(b, r.seq)
	b = binary.BigEndian.AppendUint64(b, uint64(r.captured))
	b = binary.BigEndian.AppendUint64(b, uint64(r.expires))
	b = binary.AppendUvarint(b, uint64(len(r.receiptID)))
	b = append(b, r.receiptID...)
	b = append(b, r.value...)
	binary.BigEndian.PutUint32(b, checksum(key, b[checksumSize:]))
	return b
}

// decode takes parts of b: the record is valid as long as b is.
func decode(key, b []byte) (*record, error) {
	if len(b) < headSize || binary.BigEndian.Uint32(b) != checksum(key, b[checksumSize:]) {
		return nil, errDamaged
	}
	r := &record{
		seq:      binary.BigEndian.Uint64(b[checksumSize:]),
		captured: int64(binary.BigEndian.Uint64(b[checksumSize+8:])),
		expires:  int64(binary.BigEndian.Uint64(b[checksumSize+16:])),
	}
	rest := b[headSize:]
	n, used := binary.Uvarint(rest)
	if used <= 0 || n > uint64(len(rest)-used) {
		return nil, errDamaged
	}
	r.receiptID = string(rest[used : used+int(n)])
	r.value = rest[used+int(n):]
	return r, nil
}

func checksum(key, rest []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(key, table), table, rest)
}
