package payload

import (
	"errors"
	"fmt"

	"github.com/signet-egress/signet/internal/jsonx"
)

// document is a body that was read strictly. The JSON texts that it holds in
// strings, where a contract names them, are read as well: seen has their values
// in place of the strings.
type document struct {
	data     []byte
	root     *jsonx.Value // as it stands in data
	seen     *jsonx.Value // what schemas and rules see
	embedded []embedded
}

// embedded is a JSON text in a string of a document.
type embedded struct {
	at   jsonx.Pointer
	text string
	root *jsonx.Value
}

// embeddedError is of a text in a string; its offset is within that text.
type embeddedError struct {
	at   jsonx.Pointer
	text string
	err  error
}

func (e *embeddedError) Error() string {
	return fmt.Sprintf("the JSON in the string %q: %v", e.at, e.err)
}
func (e *embeddedError) Unwrap() error { return e.err }

// parse reads a body and the texts in it. The error is a *jsonx.Error, or an
// *embeddedError of one.
func parse(data []byte, o jsonx.Options, patterns []jsonx.Pattern) (*document, error) {
	root, err := jsonx.Parse(data, o)
	if err != nil {
		return nil, err
	}
	d := &document{data: data, root: root, seen: root}
	for _, p := range patterns {
		for _, m := range root.Match(p) {
			if m.Value.Kind != jsonx.String {
				continue
			}
			inner, err := jsonx.Parse([]byte(m.Value.Text), o)
			if err != nil {
				return nil, &embeddedError{m.Pointer, m.Value.Text, err}
			}
			d.embedded = append(d.embedded, embedded{m.Pointer, m.Value.Text, inner})
			d.seen = replaced(d.seen, m.Pointer, inner)
		}
	}
	return d, nil
}

// replaced is a document with another value at a pointer, which leads somewhere.
// Only what is on the way is copied.
func replaced(v *jsonx.Value, at jsonx.Pointer, by *jsonx.Value) *jsonx.Value {
	if len(at) == 0 {
		inner := *by
		inner.Name = v.Name
		return &inner
	}
	child := v.At(at[:1])
	changed := *v
	changed.Items = append([]jsonx.Value(nil), v.Items...)
	for i := range v.Items {
		if &v.Items[i] == child {
			changed.Items[i] = *replaced(child, at[1:], by)
		}
	}
	return &changed
}

// change is one value that is written into a document.
type change struct {
	at   jsonx.Pointer
	json []byte
}

// apply writes changes and returns the new bytes. A change within a text in a
// string replaces that string literal and nothing else.
func (d *document) apply(changes []change) ([]byte, error) {
	outer := jsonx.NewPatch(d.data, d.root)
	inner := make([]*jsonx.Patch, len(d.embedded))
	for _, c := range changes {
		patch, at := outer, c.at
		for i, e := range d.embedded {
			rest, within := below(c.at, e.at)
			if !within {
				continue
			}
			if inner[i] == nil {
				inner[i] = jsonx.NewPatch([]byte(e.text), e.root)
			}
			patch, at = inner[i], rest
		}
		if err := patch.Set(at, c.json); err != nil {
			return nil, err
		}
	}
	var errs []error
	for i, p := range inner {
		if p != nil {
			errs = append(errs, outer.Set(d.embedded[i].at, jsonx.AppendString(nil, string(p.Bytes()))))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return outer.Bytes(), nil
}

// below cuts a prefix off a pointer.
func below(at, prefix jsonx.Pointer) (rest jsonx.Pointer, ok bool) {
	if len(at) < len(prefix) {
		return nil, false
	}
	for i := range prefix {
		if at[i] != prefix[i] {
			return nil, false
		}
	}
	return at[len(prefix):], true
}
