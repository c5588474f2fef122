package payload

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/signet-egress/signet/internal/jsonx"
)

// shape is a schema of the usual keywords, held against a document where it
// stands: the validator takes maps, and makes a big.Rat of each number. A shape
// only says yes, and only where the validator does. The rest is the validator's
// to judge: what is wrong with a document, and what a shape cannot tell.
type shape struct {
	never  bool   // the schema false
	kinds  uint8  // a bit for each jsonx.Kind; 0: any
	listed []list // of enum and of const
	format *jsonschema.Format

	all []*shape // of allOf and $ref: the same value has each
	any []*shape // of anyOf: and one of these, if there are any

	length  span // of a string, in characters
	pattern jsonschema.Regexp

	whole  bool    // a number is an integer
	bounds *bounds // of a number

	count span // of an array's elements
	items *shape

	size     span // of an object
	members  map[string]member
	required int    // how many of members are
	others   *shape // of members without a shape of their own
}

// list is of the scalars that a value may be, numbers as they are written there.
type list map[scalar]bool

type scalar struct {
	kind jsonx.Kind
	text string
}

// member is what is known of members of one name.
type member struct {
	shape    *shape // nil: that of the others
	required bool
}

// span is how many there may be, both ends included.
type span struct{ least, most int }

var anyCount = span{0, math.MaxInt}

func (s span) has(n int) bool { return s.least <= n && n <= s.most }

// bounds are a number's, in millionths, both ends included.
type bounds struct {
	least, most int64
	step        int64 // 0: any
}

// accepts tells whether a value is surely valid.
func (s *shape) accepts(v *jsonx.Value) bool {
	if s.never || s.kinds != 0 && s.kinds>>v.Kind&1 == 0 {
		return false
	}
	for _, l := range s.listed {
		if v.Kind == jsonx.Array || v.Kind == jsonx.Object || !l[scalar{v.Kind, v.Text}] {
			return false
		}
	}
	if s.format != nil && s.format.Validate(schemaValue(v)) != nil {
		return false
	}
	accepts := func(s *shape) bool { return s.accepts(v) }
	for _, one := range s.all {
		if !accepts(one) {
			return false
		}
	}
	if len(s.any) > 0 && !slices.ContainsFunc(s.any, accepts) {
		return false
	}
	return s.acceptsKind(v)
}

// acceptsKind holds a value to the keywords of its kind alone.
func (s *shape) acceptsKind(v *jsonx.Value) bool {
	switch v.Kind {
	case jsonx.String:
		return (s.length == anyCount || s.length.has(utf8.RuneCountInString(v.Text))) &&
			(s.pattern == nil || s.pattern.MatchString(v.Text))
	case jsonx.Number:
		return s.acceptsNumber(v.Text)
	case jsonx.Array:
		return s.count.has(len(v.Items)) && s.acceptsItems(v.Items)
	case jsonx.Object:
		return s.size.has(len(v.Items)) && s.acceptsMembers(v.Items)
	}
	return true
}

func (s *shape) acceptsItems(items []jsonx.Value) bool {
	if s.items == nil {
		return true
	}
	for i := range items {
		if !s.items.accepts(&items[i]) {
			return false
		}
	}
	return true
}

func (s *shape) acceptsMembers(items []jsonx.Value) bool {
	required := 0
	for i := range items {
		m := s.members[items[i].Name]
		if m.required { // no name stands twice
			required++
		}
		of := m.shape
		if of == nil {
			of = s.others
		}
		if of != nil && !of.accepts(&items[i]) {
			return false
		}
	}
	return required == s.required
}

func (s *shape) acceptsNumber(text string) bool {
	if s.bounds == nil && (!s.whole || !strings.ContainsAny(text, ".eE")) {
		return true
	}
	n, ok := millionths(text)
	if !ok || s.whole && n%million != 0 {
		return false
	}
	b := s.bounds
	return b == nil || b.least <= n && n <= b.most && (b.step == 0 || n%b.step == 0)
}

const (
	million = 1_000_000
	// Numbers of so many digits and decimals are less than this many millionths.
	mostDigits, mostDecimals = 12, 6
	mostMillionths           = 1_000_000_000_000_000_000
)

// millionths is a number of JSON as a count of millionths; not ok where it is
// longer, or has an exponent.
func millionths(text string) (n int64, ok bool) {
	digits, negative := strings.CutPrefix(text, "-")
	before, after, _ := strings.Cut(digits, ".")
	if len(before) > mostDigits || len(after) > mostDecimals {
		return 0, false
	}
	n, err := strconv.ParseInt(before+after, 10, 64)
	for range mostDecimals - len(after) {
		n *= 10
	}
	if negative {
		n = -n
	}
	return n, err == nil
}
