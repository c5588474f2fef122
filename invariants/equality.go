package invariants

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/signet-egress/signet/internal/jsonx"
)

// mixed is the error of comparing what cannot be compared. CEL would say that a
// string and a number are just not equal, and then a check with != passes
// because of a type that nobody expected.
func mixed(a, b ref.Val) error {
	return fmt.Errorf("%s is not comparable with %s", aValue(a), aValue(b))
}

// equalValues is == of the rule language.
func equalValues(a, b ref.Val) ref.Val { return boolean(equal(a, b)) }

func boolean(b bool, err error) ref.Val {
	if err != nil {
		return types.WrapErr(err)
	}
	return types.Bool(b)
}

// equal compares two values of one type: numbers as numbers, strings byte for
// byte, arrays and objects member by member. null is comparable with everything,
// and equal to itself only.
func equal(a, b ref.Val) (bool, error) {
	if _, ok := a.(types.Null); ok || b == types.NullValue {
		return a == b, nil
	}
	switch a := a.(type) {
	case *decimal:
		if b, ok := b.(*decimal); ok {
			return a.compare(b) == 0, nil
		}
	case types.String:
		if b, ok := b.(types.String); ok {
			return a == b, nil
		}
	case types.Bool:
		if b, ok := b.(types.Bool); ok {
			return a == b, nil
		}
	case traits.Lister:
		if b, ok := b.(traits.Lister); ok {
			return equalLists(a, b)
		}
	case *object:
		if b, ok := b.(*object); ok {
			return equalObjects(a.value(), b.value(), func(x, y *jsonx.Value) (bool, error) { return equal(celValue(x), celValue(y)) })
		}
		if b, ok := b.(traits.Mapper); ok {
			return equalMaps(a, b)
		}
	case traits.Mapper:
		if b, ok := b.(traits.Mapper); ok {
			return equalMaps(a, b)
		}
	}
	return false, mixed(a, b)
}

func equalLists(a, b traits.Lister) (bool, error) {
	if a.Size() != b.Size() {
		return false, nil
	}
	for x, y := a.Iterator(), b.Iterator(); x.HasNext() == types.True; {
		if same, err := equal(x.Next(), y.Next()); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func equalMaps(a, b traits.Mapper) (bool, error) {
	if a.Size() != b.Size() {
		return false, nil
	}
	for it := a.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		other, found := b.Find(key)
		if !found {
			return false, nil
		}
		if same, err := equal(a.Get(key), other); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// equalObjects compares members by name. They mostly stand in the same order;
// where they do not, b is searched once for all.
func equalObjects(a, b *jsonx.Value, same func(x, y *jsonx.Value) (bool, error)) (bool, error) {
	if len(a.Items) != len(b.Items) {
		return false, nil
	}
	var byName map[string]*jsonx.Value
	for i := range a.Items {
		member, other := &a.Items[i], &b.Items[i]
		if other.Name != member.Name {
			if byName == nil {
				byName = make(map[string]*jsonx.Value, len(b.Items))
				for j := range b.Items {
					byName[b.Items[j].Name] = &b.Items[j]
				}
			}
			if other = byName[member.Name]; other == nil {
				return false, nil
			}
		}
		if ok, err := same(member, other); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// compare orders numbers by value and strings by their bytes.
func compare(a, b ref.Val) (int, error) {
	switch a := a.(type) {
	case *decimal:
		if b, ok := b.(*decimal); ok {
			return a.compare(b), nil
		}
	case types.String:
		if b, ok := b.(types.String); ok {
			switch {
			case a < b:
				return -1, nil
			case a > b:
				return 1, nil
			}
			return 0, nil
		}
	}
	return 0, mixed(a, b)
}

// contains is `in`: an element of an array, or a member's name of an object.
func contains(v, in ref.Val) ref.Val {
	switch in := in.(type) {
	case traits.Mapper:
		if _, ok := v.(types.String); !ok {
			return types.WrapErr(fmt.Errorf("a member's name is a string, not %s", aValue(v)))
		}
		_, found := in.Find(v)
		return types.Bool(found)
	case traits.Lister:
		for it := in.Iterator(); it.HasNext() == types.True; {
			if same, err := equal(v, it.Next()); err != nil || same {
				return boolean(same, err)
			}
		}
		return types.False
	}
	return types.WrapErr(fmt.Errorf("nothing is in %s", aValue(in)))
}

// equalExact compares what was written, not what it means: 1.0 is not 1. A
// string is its decoded bytes.
func equalExact(a, b ref.Val) ref.Val {
	x, err := written(a)
	if err != nil {
		return types.WrapErr(err)
	}
	y, err := written(b)
	if err != nil {
		return types.WrapErr(err)
	}
	if x.Kind.String() != y.Kind.String() {
		return types.WrapErr(mixed(a, b))
	}
	return types.Bool(sameText(x, y))
}

var errComputed = errors.New("equal_exact compares what was written, and a computed number was not")

func written(v ref.Val) (*jsonx.Value, error) {
	if d, ok := v.(*decimal); ok && d.literal == "" {
		return nil, errComputed
	}
	return jsonValue(v)
}

// sameText is equality of texts; the order of an object's members does not
// count.
func sameText(a, b *jsonx.Value) bool {
	switch {
	case a.Kind != b.Kind || a.Text != b.Text || len(a.Items) != len(b.Items):
		return false
	case a.Kind == jsonx.Object:
		same, _ := equalObjects(a, b, func(x, y *jsonx.Value) (bool, error) { return sameText(x, y), nil })
		return same
	}
	for i := range a.Items {
		if !sameText(&a.Items[i], &b.Items[i]) {
			return false
		}
	}
	return true
}
