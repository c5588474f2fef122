package invariants

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/signet-egress/signet/internal/jsonx"
)

// A document is not copied for CEL: arrays and objects are looked into where
// they stand, and a scalar becomes a value of CEL when a rule comes to it.

// object and array are a jsonx.Value of that kind, as CEL sees it.
type (
	object jsonx.Value
	array  jsonx.Value
)

var (
	_ traits.Mapper = (*object)(nil)
	_ traits.Lister = (*array)(nil)
)

func celValue(v *jsonx.Value) ref.Val {
	switch v.Kind {
	case jsonx.Null:
		return types.NullValue
	case jsonx.False:
		return types.False
	case jsonx.True:
		return types.True
	case jsonx.String:
		return types.String(v.Text)
	case jsonx.Array:
		return (*array)(v)
	case jsonx.Object:
		return (*object)(v)
	case jsonx.Number:
		d, err := parseDecimal(v.Text)
		if err != nil {
			return types.WrapErr(err)
		}
		return d
	}
	return types.NewErr("a value of no kind")
}

// jsonValue is what a rule computed, as JSON. What came from a document is given
// back as it stood there.
func jsonValue(v ref.Val) (*jsonx.Value, error) {
	switch v := v.(type) {
	case *object:
		return (*jsonx.Value)(v), nil
	case *array:
		return (*jsonx.Value)(v), nil
	case *decimal:
		return &jsonx.Value{Kind: jsonx.Number, Text: v.text()}, nil
	case types.String:
		return &jsonx.Value{Kind: jsonx.String, Text: string(v)}, nil
	case types.Null:
		return &jsonx.Value{Kind: jsonx.Null}, nil
	case types.Bool:
		if v {
			return &jsonx.Value{Kind: jsonx.True}, nil
		}
		return &jsonx.Value{Kind: jsonx.False}, nil
	case traits.Lister:
		return jsonArray(v)
	case traits.Mapper:
		return jsonObject(v)
	}
	return nil, fmt.Errorf("%s is no JSON value", aValue(v))
}

func jsonArray(list traits.Lister) (*jsonx.Value, error) {
	out := &jsonx.Value{Kind: jsonx.Array}
	for it := list.Iterator(); it.HasNext() == types.True; {
		item, err := jsonValue(it.Next())
		if err != nil {
			return nil, err
		}
		element := *item
		element.Name = ""
		out.Items = append(out.Items, element)
	}
	return out, nil
}

// jsonObject orders the members by name, since CEL keeps no order.
func jsonObject(m traits.Mapper) (*jsonx.Value, error) {
	out := &jsonx.Value{Kind: jsonx.Object}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return nil, fmt.Errorf("a member's name is a string, not %s", aValue(key))
		}
		item, err := jsonValue(m.Get(key))
		if err != nil {
			return nil, err
		}
		member := *item
		member.Name = string(name)
		out.Items = append(out.Items, member)
	}
	slices.SortFunc(out.Items, func(a, b jsonx.Value) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// aValue names a value's type in the words of JSON, with its article.
func aValue(v ref.Val) string {
	switch v.(type) {
	case *decimal:
		return "a number"
	case types.String:
		return "a string"
	case types.Bool:
		return "a boolean"
	case types.Null:
		return "null"
	case traits.Lister:
		return "an array"
	case traits.Mapper:
		return "an object"
	}
	return "a " + v.Type().TypeName()
}

func (o *object) value() *jsonx.Value { return (*jsonx.Value)(o) }

// Find is the member of that name.
func (o *object) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.NewErr("a member's name is a string, not %s", aValue(key)), false
	}
	member := o.value().Get(string(name))
	if member == nil {
		return nil, false
	}
	return celValue(member), true
}

// Get is the member of that name, else an error.
func (o *object) Get(key ref.Val) ref.Val {
	v, found := o.Find(key)
	if v == nil && !found {
		return types.NewErr("no such key: %v", key.Value())
	}
	return v
}

// Contains tells whether there is a member of that name.
func (o *object) Contains(key ref.Val) ref.Val {
	v, found := o.Find(key)
	if !found && v != nil {
		return v
	}
	return types.Bool(found)
}

// Size counts the members.
func (o *object) Size() ref.Val { return types.Int(len(o.Items)) }

// Iterator goes through the members' names, in the document's order.
func (o *object) Iterator() traits.Iterator {
	return &iterator{length: len(o.Items), at: func(i int) ref.Val { return types.String(o.Items[i].Name) }}
}

// Equal compares member by member, whatever their order.
func (o *object) Equal(other ref.Val) ref.Val { return equalValues(o, other) }

// ConvertToNative is not needed.
func (o *object) ConvertToNative(reflect.Type) (any, error) { return nil, errNotNative }

// ConvertToType knows no conversion.
func (o *object) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("an object cannot become a %s", t.TypeName())
}

// Type is that of CEL's maps.
func (o *object) Type() ref.Type { return types.MapType }

// Value is the document's value.
func (o *object) Value() any { return o.value() }

// Get is the element at an index from 0.
func (a *array) Get(index ref.Val) ref.Val {
	i, ok := index.(types.Int)
	if !ok {
		return types.NewErr("an index is a number, not %s", aValue(index))
	}
	if i < 0 || int(i) >= len(a.Items) {
		return types.NewErr("index out of bounds: %d", i)
	}
	return celValue(&a.Items[i])
}

// Contains is membership; see contains.
func (a *array) Contains(v ref.Val) ref.Val { return contains(v, a) }

// Size counts the elements.
func (a *array) Size() ref.Val { return types.Int(len(a.Items)) }

// Iterator goes through the elements.
func (a *array) Iterator() traits.Iterator {
	return &iterator{length: len(a.Items), at: func(i int) ref.Val { return celValue(&a.Items[i]) }}
}

// Add is the array with those of another behind.
func (a *array) Add(other ref.Val) ref.Val {
	elements := make([]ref.Val, len(a.Items))
	for i := range a.Items {
		elements[i] = celValue(&a.Items[i])
	}
	return types.NewRefValList(types.DefaultTypeAdapter, elements).(traits.Adder).Add(other)
}

// Equal compares element by element.
func (a *array) Equal(other ref.Val) ref.Val { return equalValues(a, other) }

// ConvertToNative is not needed.
func (a *array) ConvertToNative(reflect.Type) (any, error) { return nil, errNotNative }

// ConvertToType knows no conversion.
func (a *array) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("an array cannot become a %s", t.TypeName())
}

// Type is that of CEL's lists.
func (a *array) Type() ref.Type { return types.ListType }

// Value is the document's value.
func (a *array) Value() any { return (*jsonx.Value)(a) }

var errNotNative = errors.New("a value of a document has no native form")

// iterator counts to length. Its Val is nil: nothing asks an iterator for what
// values have.
type iterator struct {
	ref.Val
	next, length int
	at           func(int) ref.Val
}

// HasNext tells whether Next has one more.
func (it *iterator) HasNext() ref.Val { return types.Bool(it.next < it.length) }

// Next is the next one.
func (it *iterator) Next() ref.Val {
	it.next++
	return it.at(it.next - 1)
}
