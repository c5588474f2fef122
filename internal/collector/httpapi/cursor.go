package httpapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Cursors seals places in a list: a cursor goes on with the list that it came
// from, of the tenant that it was made for, and cannot be made up.
//
// A cursor is 8 bytes of milliseconds, 16 of the chain id, 8 of seq, and 16 of
// an HMAC-SHA-256 over those, the tenant and the list's filters; base64url.
type Cursors struct{ key []byte }

const (
	cursorPlace = 8 + 16 + 8
	cursorSeal  = 16
)

var errCursor = badParameter("cursor", "it is next of the page before, with the same other parameters")

// NewCursors returns Cursors that a secret opens, the same for all replicas.
func NewCursors(secret []byte) Cursors {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("signet cursor"))
	return Cursors{mac.Sum(nil)}
}

// Seal writes a place in the list that q selects.
func (c Cursors) Seal(tenant string, q *store.ReceiptQuery, at *store.Cursor) (string, error) {
	chain, err := uuid.Parse(at.Chain)
	if err != nil {
		return "", err
	}
	b := make([]byte, 0, cursorPlace+cursorSeal)
	b = binary.BigEndian.AppendUint64(b, uint64(at.TS.UnixMilli()))
	b = append(b, chain[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(at.Seq))
	return base64.RawURLEncoding.EncodeToString(append(b, c.mac(b, tenant, q)...)), nil
}

// Open reads what Seal wrote for the same tenant and q. The error is a *Problem.
func (c Cursors) Open(tenant string, q *store.ReceiptQuery, text string) (*store.Cursor, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != cursorPlace+cursorSeal || !hmac.Equal(b[cursorPlace:], c.mac(b[:cursorPlace], tenant, q)) {
		return nil, errCursor
	}
	return &store.Cursor{
		TS:    time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC(),
		Chain: uuid.UUID(b[8:24]).String(),
		Seq:   int64(binary.BigEndian.Uint64(b[24:])),
	}, nil
}

func (c Cursors) mac(place []byte, tenant string, q *store.ReceiptQuery) []byte {
	mac := hmac.New(sha256.New, c.key)
	mac.Write(place)
	for _, text := range []string{
		tenant, q.From.UTC().Format(time.RFC3339Nano), q.To.UTC().Format(time.RFC3339Nano),
		q.Host, q.Agent, string(q.Outcome), q.Reason, q.Trace, q.Chain,
	} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text))))
		mac.Write([]byte(text))
	}
	return mac.Sum(nil)[:cursorSeal]
}
