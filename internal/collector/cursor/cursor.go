// Package cursor seals places in a list of receipts, so that a client can hold
// them: a cursor goes on with the list that it came from, of the tenant that it was
// made for, and cannot be made up.
package cursor

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/signet-egress/signet/internal/collector/store"
)

// ErrForeign says that a cursor is none of this list's.
var ErrForeign = errors.New("it is next of the page before, with the same other parameters")

// Sealer seals cursors and opens them.
//
// A cursor is 8 bytes of milliseconds, 16 of the chain id, 8 of seq, and 16 of
// an HMAC-SHA-256 over those, the tenant and the list's filters; base64url.
type Sealer struct{ key []byte }

const (
	placeSize = 8 + 16 + 8
	sealSize  = 16
)

// NewSealer returns a Sealer with a secret, which all replicas have.
func NewSealer(secret []byte) Sealer {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("signet cursor"))
	return Sealer{mac.Sum(nil)}
}

// Seal writes a place in the list that q selects.
func (s Sealer) Seal(tenant string, q *store.ReceiptQuery, at *store.Cursor) (string, error) {
	chain, err := uuid.Parse(at.Chain)
	if err != nil {
		return "", err
	}
	b := make([]byte, 0, placeSize+sealSize)
	b = binary.BigEndian.AppendUint64(b, uint64(at.TS.UnixMilli()))
	b = append(b, chain[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(at.Seq))
	return base64.RawURLEncoding.EncodeToString(append(b, s.mac(b, tenant, q)...)), nil
}

// Open reads what Seal wrote for the same tenant and q, or returns ErrForeign.
func (s Sealer) Open(tenant string, q *store.ReceiptQuery, text string) (*store.Cursor, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != placeSize+sealSize || !hmac.Equal(b[placeSize:], s.mac(b[:placeSize], tenant, q)) {
		return nil, ErrForeign
	}
	return &store.Cursor{
		TS:    time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC(),
		Chain: uuid.UUID(b[8:24]).String(),
		Seq:   int64(binary.BigEndian.Uint64(b[24:])),
	}, nil
}

func (s Sealer) mac(place []byte, tenant string, q *store.ReceiptQuery) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(place)
	for _, text := range []string{
		tenant, q.From.UTC().Format(time.RFC3339Nano), q.To.UTC().Format(time.RFC3339Nano),
		q.Host, q.Agent, string(q.Outcome), q.Reason, q.Trace, q.Chain,
	} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text))))
		mac.Write([]byte(text))
	}
	return mac.Sum(nil)[:sealSize]
}
