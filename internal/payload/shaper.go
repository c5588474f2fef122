package payload

import (
	"encoding/json"
	"math/big"
	"reflect"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/signet-egress/signet/internal/jsonx"
)

// shapeOf is nil where a schema has, or leads to, a keyword that no shape has.
func shapeOf(s *jsonschema.Schema) *shape {
	b := shaper{made: make(map[*jsonschema.Schema]*shape), state: make(map[*shape]visit)}
	root := b.shape(s)
	for len(b.waiting) > 0 {
		next := b.waiting[0]
		b.waiting = b.waiting[1:]
		if !b.fill(b.made[next], next) {
			return nil
		}
	}
	for _, made := range b.made {
		if b.circles(made) {
			return nil
		}
	}
	return root
}

// shaper makes a shape of each schema that a schema leads to.
type shaper struct {
	made    map[*jsonschema.Schema]*shape
	waiting []*jsonschema.Schema // whose shapes are to be filled
	state   map[*shape]visit
	odd     bool // a number is none of millionths
}

// visit is how far the search for circles has come with a shape.
type visit uint8

const (
	within visit = iota + 1
	done
)

// circles tells whether a shape leads to itself for one and the same value.
func (b *shaper) circles(s *shape) bool {
	if b.state[s] != 0 {
		return b.state[s] == within
	}
	b.state[s] = within
	if slices.ContainsFunc(s.all, b.circles) || slices.ContainsFunc(s.any, b.circles) {
		return true
	}
	b.state[s] = done
	return false
}

// shape is the one of a schema, which is filled in its turn.
func (b *shaper) shape(s *jsonschema.Schema) *shape {
	if s == nil {
		return nil
	}
	if b.made[s] == nil {
		b.made[s] = new(shape)
		b.waiting = append(b.waiting, s)
	}
	return b.made[s]
}

func (b *shaper) shapes(list []*jsonschema.Schema) []*shape {
	shapes := make([]*shape, len(list))
	for i, s := range list {
		shapes[i] = b.shape(s)
	}
	return shapes
}

// usualFields are those of compiled schemas that shapes have, and then those that
// no value is held to.
var usualFields = []string{
	"DraftVersion", "Bool", "Ref", "Types", "Enum", "Const", "AllOf", "AnyOf", "Format",
	"MinLength", "MaxLength", "Pattern", "Minimum", "Maximum", "ExclusiveMinimum", "ExclusiveMaximum", "MultipleOf",
	"MinItems", "MaxItems", "Items2020", "MinProperties", "MaxProperties", "Required", "Properties", "AdditionalProperties",

	"Location", "ID", "Anchor", "DynamicAnchor",
	"Title", "Description", "Default", "Comment", "ReadOnly", "WriteOnly", "Examples", "Deprecated",
}

// usual tells whether a schema has no other fields, whatever the library has.
func usual(s *jsonschema.Schema) bool {
	fields := reflect.ValueOf(s).Elem()
	for i := range fields.NumField() {
		f := fields.Type().Field(i)
		if f.IsExported() && !fields.Field(i).IsZero() && !slices.Contains(usualFields, f.Name) {
			return false
		}
	}
	return s.DraftVersion == 2020
}

func (b *shaper) fill(into *shape, s *jsonschema.Schema) bool {
	if !usual(s) {
		return false
	}
	*into = shape{
		never:  s.Bool != nil && !*s.Bool,
		format: s.Format,
		all:    b.shapes(s.AllOf), any: b.shapes(s.AnyOf),
		length: spanOf(s.MinLength, s.MaxLength), pattern: s.Pattern,
		bounds: b.bounds(s),
		count:  spanOf(s.MinItems, s.MaxItems), items: b.shape(s.Items2020),
		size: spanOf(s.MinProperties, s.MaxProperties), members: b.members(s),
	}
	if s.Ref != nil {
		into.all = append(into.all, b.shape(s.Ref))
	}
	if s.Types != nil {
		into.kinds, into.whole = kindsOf(s.Types.ToStrings())
	}
	if s.Enum != nil {
		into.listed = append(into.listed, listOf(s.Enum.Values))
	}
	if s.Const != nil {
		into.listed = append(into.listed, listOf([]any{*s.Const}))
	}
	for _, m := range into.members {
		if m.required {
			into.required++
		}
	}
	switch others := s.AdditionalProperties.(type) {
	case bool:
		if !others {
			into.others = &shape{never: true}
		}
	case *jsonschema.Schema:
		into.others = b.shape(others)
	}
	return !b.odd
}

func (b *shaper) members(s *jsonschema.Schema) map[string]member {
	members := make(map[string]member, len(s.Properties))
	for name, of := range s.Properties {
		members[name] = member{shape: b.shape(of)}
	}
	for _, name := range s.Required {
		members[name] = member{shape: members[name].shape, required: true}
	}
	return members
}

// bounds are nil where a schema says nothing of numbers.
func (b *shaper) bounds(s *jsonschema.Schema) *bounds {
	if s.Minimum == nil && s.Maximum == nil && s.ExclusiveMinimum == nil && s.ExclusiveMaximum == nil && s.MultipleOf == nil {
		return nil
	}
	of := &bounds{least: -mostMillionths, most: mostMillionths}
	if s.Minimum != nil {
		of.least = max(of.least, b.millionths(s.Minimum))
	}
	if s.ExclusiveMinimum != nil {
		of.least = max(of.least, b.millionths(s.ExclusiveMinimum)+1)
	}
	if s.Maximum != nil {
		of.most = min(of.most, b.millionths(s.Maximum))
	}
	if s.ExclusiveMaximum != nil {
		of.most = min(of.most, b.millionths(s.ExclusiveMaximum)-1)
	}
	if s.MultipleOf != nil {
		of.step = b.millionths(s.MultipleOf)
		b.odd = b.odd || of.step == mostMillionths
	}
	return of
}

// millionths is a bound in the unit of values; beyond all of them, the next one.
func (b *shaper) millionths(r *big.Rat) int64 {
	scaled := new(big.Rat).Mul(r, big.NewRat(million, 1))
	switch n := scaled.Num(); {
	case !scaled.IsInt():
		b.odd = true
		return 0
	case n.IsInt64():
		return max(-mostMillionths, min(mostMillionths, n.Int64()))
	default:
		return int64(n.Sign()) * mostMillionths
	}
}

func spanOf(least, most *int) span {
	s := anyCount
	if least != nil {
		s.least = *least
	}
	if most != nil {
		s.most = *most
	}
	return s
}

// kindsOf are the kinds of types, and whether numbers among them are integers.
func kindsOf(types []string) (kinds uint8, whole bool) {
	for kind := jsonx.Null; kind <= jsonx.Object; kind++ {
		if slices.Contains(types, kind.String()) {
			kinds |= 1 << kind
		}
	}
	if kinds>>jsonx.Number&1 == 0 && slices.Contains(types, "integer") {
		return kinds | 1<<jsonx.Number, true
	}
	return kinds, false
}

// listOf leaves out arrays and objects, which the validator compares.
func listOf(values []any) list {
	l := make(list, len(values))
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			l[scalar{kind: jsonx.Null}] = true
		case bool:
			if v {
				l[scalar{kind: jsonx.True}] = true
			} else {
				l[scalar{kind: jsonx.False}] = true
			}
		case string:
			l[scalar{jsonx.String, v}] = true
		case json.Number:
			l[scalar{jsonx.Number, v.String()}] = true
		}
	}
	return l
}
