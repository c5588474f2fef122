package cache

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
)

// A value in the shared cache is sealed with AES-256-GCM, under a key of its own
// that is derived from the secret, the tenant and the receipt_id: one that was
// written for another receipt does not open. Inside are 8 bytes, when the record
// was received in milliseconds since 1970, and the line; the rest of the record is
// derived from the line again.
const (
	receivedLength = 8
	sealLength     = 12 + 16 // nonce and tag
	maxValue       = sealLength + receivedLength + receipts.MaxLine
)

func (k key) id() string { return k.tenant + "\x00" + k.receiptID }

func (k key) aead(secret []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, secret, nil, "signet cached receipt\x00"+k.id(), 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (k key) seal(secret []byte, r *store.Record) ([]byte, error) {
	aead, err := k.aead(secret)
	if err != nil {
		return nil, fmt.Errorf("seal a receipt: %w", err)
	}
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, receivedLength+len(r.Line)), uint64(r.Received.UnixMilli()))
	return aead.Seal(nil, nil, append(plain, r.Line...), nil), nil //nolint:gosec // this AEAD makes the nonce itself
}

func (k key) open(secret, value []byte) (store.Record, error) {
	aead, err := k.aead(secret)
	if err != nil {
		return store.Record{}, fmt.Errorf("open a receipt: %w", err)
	}
	plain, err := aead.Open(nil, nil, value, nil)
	if err != nil {
		return store.Record{}, fmt.Errorf("open a receipt: %w", err)
	}
	if len(plain) < receivedLength {
		return store.Record{}, errors.New("open a receipt: it is cut")
	}
	line := plain[receivedLength:]
	decoded, err := receipts.Decode(line)
	if err != nil {
		return store.Record{}, fmt.Errorf("open a receipt: %w", err)
	}
	return store.NewRecord(decoded, line, time.UnixMilli(int64(binary.BigEndian.Uint64(plain))).UTC()), nil
}

// fromShared is the receipt as the shared cache has it.
func (s *Store) fromShared(ctx context.Context, k key) (store.Record, bool) {
	if s.shared == nil {
		return store.Record{}, false
	}
	value := s.shared.Get(ctx, k.id(), maxValue)
	if len(value) == 0 {
		s.observer.CacheMiss("redis")
		return store.Record{}, false
	}
	record, err := k.open(s.secret, value)
	if err != nil {
		s.observer.CacheRejected()
		return store.Record{}, false
	}
	if !s.stays(&record) {
		s.observer.CacheMiss("redis")
		return store.Record{}, false
	}
	s.observer.CacheHit("redis")
	return record, true
}

func (s *Store) toShared(ctx context.Context, k key, r *store.Record) {
	if s.shared == nil {
		return
	}
	if value, err := k.seal(s.secret, r); err == nil { // there is nothing it could fail by
		s.shared.Set(ctx, k.id(), value, life)
	}
}
