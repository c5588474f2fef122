// Package jsonx reads JSON (RFC 8259) the one way in which all readers agree,
// and refuses what two readers could take for two things: duplicate names,
// names that differ only in case from one that matters, bad UTF-8, lone
// surrogates, a byte order mark, anything after the value. Numbers stay text.
//
// A value knows where it stands in the input, so that an edit replaces its
// bytes and leaves all others as they came.
package jsonx

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind says what a Value is.
type Kind uint8

// The kinds. True and False are two, so that a scalar is its kind and its text.
const (
	Null Kind = iota + 1
	False
	True
	Number
	String
	Array
	Object
)

var kindNames = [...]string{"", "null", "boolean", "boolean", "number", "string", "array", "object"}

// String names the type as JSON Schema does: null, boolean, number, string,
// array, object.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return ""
}

// Value is one value of a document, or one that was made to be written. Values
// are shared and not to be changed.
//
// Texts that Parse gives are parts of one copy of the input and keep all of it
// alive; what outlives the document is cloned first.
type Value struct {
	Kind Kind
	// Text is a string, decoded, or a number as it was written: 1.50 and 15e-1
	// are two texts. Empty for other kinds.
	Text string
	// Name is a member's name, decoded, where the value is a member.
	Name string
	// Items are an array's elements or an object's members, as they came.
	Items []Value
	// Start and End bound the value in the input: input[Start:End] is the value
	// without white space around it. Both are 0 for a value that Parse did not make.
	Start, End int32
}

// Get is the member of that name of an object, else nil.
func (v *Value) Get(name string) *Value {
	if v == nil || v.Kind != Object {
		return nil
	}
	for i := range v.Items {
		if v.Items[i].Name == name {
			return &v.Items[i]
		}
	}
	return nil
}

// Equal tells whether two values are the same, member for member in the same
// order, with numbers written the same way. Positions do not count.
func Equal(a, b *Value) bool {
	return a.Kind == b.Kind && a.Text == b.Text &&
		slices.EqualFunc(a.Items, b.Items, func(x, y Value) bool {
			return x.Name == y.Name && Equal(&x, &y)
		})
}

// Append writes a value without white space: members in their order, numbers as
// they were written, strings with the fewest escapes (RFC 8785, section 3.2.2.2).
// Its names and texts must be UTF-8, as those that Parse gives are.
func Append(dst []byte, v *Value) []byte {
	switch v.Kind {
	case Null:
		return append(dst, "null"...)
	case False:
		return append(dst, "false"...)
	case True:
		return append(dst, "true"...)
	case Number:
		return append(dst, v.Text...)
	case String:
		return AppendString(dst, v.Text)
	case Array:
		dst = append(dst, '[')
		for i := range v.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = Append(dst, &v.Items[i])
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i := range v.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(AppendString(dst, v.Items[i].Name), ':')
			dst = Append(dst, &v.Items[i])
		}
		return append(dst, '}')
	}
	return dst
}

// AppendString writes a string literal with the fewest escapes. What is not
// UTF-8 in s becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}
