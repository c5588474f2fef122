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
)

// Key is what a fact is found by. Two keys are one only if all fields are equal.
type Key struct {
	Tenant string
	Scope  string // who shares the fact: trace, agent or tenant
	Owner  string // the trace or the agent
	Name   string // of the fact, as the contract has it
	Key    string // which of that name, such as an invoice's id
}

// Fact is a value and where it came from.
type Fact struct {
	JSON []byte
	// ReceiptID is the receipt of the exchange whose answer it was in.
	ReceiptID string
	Expires   time.Time // from then on it is gone
}

// encode is the key in the file: parts with their lengths, so that no two keys
// share one.
func (k Key) encode() ([]byte, error) {
	var b []byte
	for _, part := range []string{k.Tenant, k.Scope, k.Name, k.Owner, k.Key} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	if len(b) > maxKey {
		return nil, fmt.Errorf("%w: its key has %d bytes, of at most %d", ErrTooLarge, len(b), maxKey)
	}
	return b, nil
}

// maxKey bounds keys well below what bbolt can store.
const maxKey = 4 << 10

// record is a fact in the file: a checksum, then seq and expires as 8 bytes each,
// big-endian, then the receipt's id with its length, then the value.
type record struct {
	seq       uint64
	expires   int64 // nanoseconds since 1970
	receiptID string
	value     []byte
}

const (
	checksumSize = 4
	headSize     = checksumSize + 2*8
)

var errDamaged = errors.New("a record is damaged")

// encode covers the key too, so that no record stands for another's.
func (r *record) encode(key []byte) []byte {
	b := make([]byte, checksumSize, headSize+1+len(r.receiptID)+len(r.value))
	b = binary.BigEndian.AppendUint64(b, r.seq)
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
		seq:     binary.BigEndian.Uint64(b[checksumSize:]),
		expires: int64(binary.BigEndian.Uint64(b[checksumSize+8:])),
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
