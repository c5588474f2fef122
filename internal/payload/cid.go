package payload

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/signet-egress/signet/internal/jsonx"
)

// identify computes the content's identifier: that of its JCS form (RFC 8785),
// which is the same however the JSON is written. JCS takes numbers for doubles,
// so that a body with a number that no double has has no identifier: two that
// differ would have the same.
func (x *inspection) identify(context.Context) *Refusal {
	c := canonical{form: make([]byte, 0, len(x.body))}
	if c.add(x.document.root) {
		x.result.CID = digest(c.form)
	}
	return nil
}

// canonical writes the JCS form of a document.
type canonical struct {
	form   []byte
	sorted []*jsonx.Value // members of the objects that are not closed yet
}

// add writes a value; false where a number of it does not round-trip.
func (c *canonical) add(v *jsonx.Value) bool {
	switch v.Kind {
	case jsonx.Number:
		return c.number(v.Text)
	case jsonx.Array:
		c.form = append(c.form, '[')
		for i := range v.Items {
			if i > 0 {
				c.form = append(c.form, ',')
			}
			if !c.add(&v.Items[i]) {
				return false
			}
		}
		c.form = append(c.form, ']')
		return true
	case jsonx.Object:
		return c.object(v.Items)
	}
	c.form = jsonx.Append(c.form, v)
	return true
}

func (c *canonical) object(items []jsonx.Value) bool {
	first := len(c.sorted)
	for i := range items {
		c.sorted = append(c.sorted, &items[i])
	}
	members := c.sorted[first:]
	slices.SortFunc(members, func(a, b *jsonx.Value) int { return compareUTF16(a.Name, b.Name) })
	c.form = append(c.form, '{')
	for i, m := range members {
		if i > 0 {
			c.form = append(c.form, ',')
		}
		c.form = append(jsonx.AppendString(c.form, m.Name), ':')
		if !c.add(m) {
			return false
		}
	}
	c.form = append(c.form, '}')
	c.sorted = c.sorted[:first]
	return true
}

// number writes a number, if it is the same after it was a double.
func (c *canonical) number(text string) bool {
	if short, ok := surelyExact(text); ok {
		c.form = append(c.form, short...)
		return true
	}
	form := jsontext.Value(text)
	if err := form.Canonicalize(); err != nil {
		return false
	}
	c.form = append(c.form, form...)
	before, _, err := apd.NewFromString(text)
	after, _, also := apd.NewFromString(string(form))
	return err == nil && also == nil && before.Cmp(after) == 0
}

// surelyExact is the form of the usual number: an integer or fraction of few
// digits, which no other double is closer to, and whose form is itself, without
// zeros at the end. Zero and what is written with an exponent are left out.
func surelyExact(text string) (string, bool) {
	const everyDouble = 15 // decimal digits, at the least
	digits := 0
	for i := range len(text) {
		switch c := text[i]; {
		case '0' <= c && c <= '9':
			digits++
		case c != '-' && c != '.':
			return "", false
		}
	}
	before, after, fraction := strings.Cut(text, ".")
	switch {
	case digits > everyDouble, text == "-0":
		return "", false
	case !fraction:
		return text, true
	case (before == "0" || before == "-0") && strings.HasPrefix(after+"000000", "000000"):
		return "", false
	}
	return strings.TrimSuffix(strings.TrimRight(text, "0"), "."), true
}

// compareUTF16 orders names by their UTF-16 code units (RFC 8785, section
// 3.2.3). UTF-8 has the order of the code points, and characters beyond U+FFFF
// go before U+E000 to U+FFFF in UTF-16, whose surrogates are below.
func compareUTF16(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			const lead, leadBeyond = 0xee, 0xf0 // of U+E000, and of what is beyond U+FFFF
			if x >= lead && y >= lead && (x >= leadBeyond) != (y >= leadBeyond) {
				return cmp.Compare(y, x)
			}
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}
