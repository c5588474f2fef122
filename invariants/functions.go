package invariants

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/signet-egress/signet/internal/jsonx"
)

func valueFunctions() []cel.EnvOption {
	relation := func(name string, holds func(s, t string) bool) cel.EnvOption {
		return declare(name, onStrings(name, holds), method(name, cel.BoolType, cel.StringType, cel.StringType))
	}
	return []cel.EnvOption{
		declare("size", cel.SingletonUnaryBinding(size),
			sig("size_string", decimalType, cel.StringType), sig("size_list", decimalType, listOfA), sig("size_map", decimalType, mapOfB),
			method("string_size", decimalType, cel.StringType), method("list_size", decimalType, listOfA), method("map_size", decimalType, mapOfB)),
		relation("contains", strings.Contains), relation("startsWith", strings.HasPrefix), relation("endsWith", strings.HasSuffix),
		declare(fnMatches, cel.SingletonBinaryBinding(matches), method(fnMatches, cel.BoolType, cel.StringType, cel.StringType)),
		declare(fnNumber, nil, sig(fnNumber, decimalType, cel.StringType)),
		declare(fnDecimal, cel.SingletonUnaryBinding(toDecimal),
			sig("decimal_string", decimalType, cel.StringType), sig("decimal_decimal", decimalType, decimalType)),
		declare("string", cel.SingletonUnaryBinding(toString),
			sig("string_decimal", cel.StringType, decimalType), sig("string_string", cel.StringType, cel.StringType)),
		declare("sum", cel.SingletonFunctionBinding(sum),
			sig("sum_list", decimalType, listOfA), sig("sum_at", decimalType, listOfA, cel.StringType)),
		declare("look_alike", onStrings("look_alike", lookAlike), sig("look_alike", cel.BoolType, cel.StringType, cel.StringType)),
		declare("equal_exact", cel.SingletonBinaryBinding(equalExact), sig("equal_exact", cel.BoolType, cel.DynType, cel.DynType)),
	}
}

// onStrings tells of two strings whether something holds.
func onStrings(name string, holds func(s, t string) bool) cel.FunctionOpt {
	return cel.SingletonBinaryBinding(func(a, b ref.Val) ref.Val {
		s, ok := a.(types.String)
		t, also := b.(types.String)
		if !ok || !also {
			return types.NewErr("%s with %s and %s", name, aValue(a), aValue(b))
		}
		return types.Bool(holds(string(s), string(t)))
	})
}

// size counts a string's characters, an array's elements, an object's members.
func size(v ref.Val) ref.Val {
	switch v := v.(type) {
	case types.String:
		return integer(utf8.RuneCountInString(string(v)))
	case traits.Sizer:
		n, ok := v.Size().(types.Int)
		if ok {
			return integer(int(n))
		}
	}
	return types.NewErr("%s has no size", aValue(v))
}

// constant is a literal argument, made ready when the rule is compiled. Its Val
// is nil: only the function that it is for sees it.
type constant[T any] struct {
	ref.Val
	ready T
}

func matches(v, pattern ref.Val) ref.Val {
	s, ok := v.(types.String)
	p, ready := pattern.(*constant[*regexp.Regexp])
	if !ok || !ready {
		return types.NewErr("matches with %s", aValue(v))
	}
	return types.Bool(p.ready.MatchString(string(s)))
}

func toDecimal(v ref.Val) ref.Val {
	switch v := v.(type) {
	case *decimal:
		return v
	case types.String:
		return number(plainDecimal(string(v)))
	}
	return types.NewErr("%s is no number", aValue(v))
}

func toString(v ref.Val) ref.Val {
	switch v := v.(type) {
	case *decimal:
		return types.String(v.text())
	case types.String:
		return v
	}
	return types.NewErr("string with %s", aValue(v))
}

var errSum = errors.New("sum takes an array of numbers, or an array and the JSON Pointer of a number in each element")

func sum(args ...ref.Val) ref.Val {
	list, ok := args[0].(traits.Lister)
	if !ok {
		return types.WrapErr(errSum)
	}
	var at jsonx.Pointer
	if len(args) == 2 {
		pointer, ok := args[1].(*constant[jsonx.Pointer])
		if !ok {
			return types.WrapErr(errSum)
		}
		at = pointer.ready
	}
	total := integer(0)
	for i, it := 0, list.Iterator(); it.HasNext() == types.True; i++ {
		next, err := addend(it.Next(), at)
		if err == nil {
			total, err = add(total, next)
		}
		if err != nil {
			return types.WrapErr(fmt.Errorf("sum at %d: %w", i, err))
		}
	}
	return total
}

func addend(v ref.Val, at jsonx.Pointer) (*decimal, error) {
	if len(at) > 0 {
		element, err := jsonValue(v)
		if err != nil {
			return nil, err
		}
		found := element.At(at)
		if found == nil {
			return nil, fmt.Errorf("there is no %s", at)
		}
		v = celValue(found)
	}
	if d, ok := v.(*decimal); ok {
		return d, nil
	}
	return nil, fmt.Errorf("%s is no number", aValue(v))
}
