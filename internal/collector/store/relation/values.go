package relation

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// when is a time as a parameter: NULL for the zero time.
func when(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Truncate(time.Millisecond)
}

// timeOf scans a time, NULL as the zero time. SQLite has no type for times: there
// they are milliseconds since 1970.
func timeOf(t *time.Time) *timeScanner { return (*timeScanner)(t) }

type timeScanner time.Time

// Scan implements sql.Scanner.
func (s *timeScanner) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*s = timeScanner{}
	case time.Time:
		*s = timeScanner(v.UTC())
	case int64:
		*s = timeScanner(time.UnixMilli(v).UTC())
	default:
		return fmt.Errorf("a time in the form of %T", value)
	}
	return nil
}

const digestPrefix = "sha256:"

// Digest is the 32 bytes of a receipt_hash, and nil for an empty one.
func Digest(hash string) ([]byte, error) {
	if hash == "" {
		return nil, nil
	}
	text, ok := strings.CutPrefix(hash, digestPrefix)
	b, err := hex.DecodeString(text)
	if !ok || err != nil || len(b) != 32 {
		return nil, fmt.Errorf("%.80q is not a receipt_hash", hash)
	}
	return b, nil
}

// hashOf is the receipt_hash with these bytes.
func hashOf(digest []byte) string {
	if len(digest) == 0 {
		return ""
	}
	return digestPrefix + hex.EncodeToString(digest)
}

// isUUID tells whether a text can be a chain's or a receipt's id at all; what
// cannot is not asked for.
func isUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }
