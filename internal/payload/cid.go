package payload

import (
	"context"
	"slices"

	"github.com/cockroachdb/apd/v3"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/signet-egress/signet/internal/jsonx"
)

// identify computes the content's identifier: that of its JCS form (RFC 8785),
// which is the same however the JSON is written. JCS takes numbers for doubles,
// so that a body with a number that no double has has no identifier: two that
// differ would have the same.
func (x *inspection) identify(context.Context) *Refusal {
	if !roundTrips(x.document.root) {
		return nil
	}
	canonical := jsontext.Value(slices.Clone(x.body))
	if err := canonical.Canonicalize(); err == nil {
		x.result.CID = digest(canonical)
	}
	return nil
}

func roundTrips(v *jsonx.Value) bool {
	if v.Kind == jsonx.Number {
		return numberRoundTrips(v.Text)
	}
	for i := range v.Items {
		if !roundTrips(&v.Items[i]) {
			return false
		}
	}
	return true
}

// surelyExact is how many decimal digits every double holds.
const surelyExact = 15

// numberRoundTrips tells whether a number is the same after it was a double. The
// usual one, an integer or a fraction of few digits, is.
func numberRoundTrips(text string) bool {
	digits, plain := 0, true
	for i := range len(text) {
		switch c := text[i]; {
		case '0' <= c && c <= '9':
			digits++
		case c != '-' && c != '.':
			plain = false
		}
	}
	if plain && digits <= surelyExact {
		return true
	}
	canonical := jsontext.Value(text)
	if err := canonical.Canonicalize(); err != nil {
		return false
	}
	before, _, err := apd.NewFromString(text)
	after, _, also := apd.NewFromString(string(canonical))
	return err == nil && also == nil && before.Cmp(after) == 0
}
