package invariants

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/signet-egress/signet/internal/jsonx"
)

// The language is CEL's syntax, macros and evaluator with a library of its own:
// of CEL's standard library nothing is taken, so there is no integer and no
// double that a rule could meet, but for an index (see rewrite).

// Functions that a rule cannot write: what operators become after the check, and
// what stands around an index.
const (
	fnEqual    = "@equal"
	fnNotEqual = "@not_equal"
	fnIndex    = "@index"
	fnNumber   = "@number" // of a literal's text
)

const (
	fnDecimal = "decimal"
	fnMatches = "matches"
)

// Limits of one rule's text.
const (
	maxSource  = 16 << 10 // code points
	maxNesting = 64
)

// language is made once; it is never changed.
var language = sync.OnceValues(newLanguage)

func newLanguage() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.Variable("original", cel.DynType),
		cel.Variable("transformed", cel.DynType),
		cel.Variable("request", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("facts", cel.MapType(cel.StringType, cel.DynType)),
		cel.Macros(cel.StandardMacros...),
		cel.ParserExpressionSizeLimit(maxSource),
		cel.ParserRecursionLimit(maxNesting),
		cel.EnableErrorOnBadPresenceTest(true), // has(x.y) where x is a string
	}
	options = append(options, operatorFunctions()...)
	options = append(options, valueFunctions()...)
	options = append(options, moneyFunctions()...)
	return cel.NewCustomEnv(options...)
}

// signature is one overload of a function: its id, arguments and result.
type signature struct {
	id     string
	args   []*cel.Type
	result *cel.Type
	member bool // called as args[0].function(args[1:])
}

func sig(id string, result *cel.Type, args ...*cel.Type) signature {
	return signature{id: id, args: args, result: result}
}

func method(id string, result *cel.Type, args ...*cel.Type) signature {
	return signature{id: id, args: args, result: result, member: true}
}

// declare makes a function whose one binding looks at the types itself: a JSON
// value's type is known only then.
func declare(name string, binding cel.FunctionOpt, signatures ...signature) cel.EnvOption {
	options := []cel.FunctionOpt{}
	if binding != nil {
		options = append(options, binding)
	}
	for _, s := range signatures {
		if s.member {
			options = append(options, cel.MemberOverload(s.id, s.args, s.result))
		} else {
			options = append(options, cel.Overload(s.id, s.args, s.result))
		}
	}
	return cel.Function(name, options...)
}

var (
	typeA   = cel.TypeParamType("A")
	typeB   = cel.TypeParamType("B")
	listOfA = cel.ListType(typeA)
	mapOfB  = cel.MapType(cel.StringType, typeB)
)

func operatorFunctions() []cel.EnvOption {
	inequality := func(a, b ref.Val) ref.Val {
		same, err := equal(a, b)
		return boolean(!same, err)
	}
	return []cel.EnvOption{
		// Declared for the check, and replaced after it: what CEL's planner does
		// for these names is not what this language means.
		declare(operators.Equals, nil, sig("equals", cel.BoolType, typeA, typeA)),
		declare(operators.NotEquals, nil, sig("not_equals", cel.BoolType, typeA, typeA)),
		declare(operators.LogicalAnd, nil, sig("and", cel.BoolType, cel.BoolType, cel.BoolType)),
		declare(operators.LogicalOr, nil, sig("or", cel.BoolType, cel.BoolType, cel.BoolType)),
		declare(fnEqual, cel.SingletonBinaryBinding(equalValues), sig(fnEqual, cel.BoolType, cel.DynType, cel.DynType)),
		declare(fnNotEqual, cel.SingletonBinaryBinding(inequality), sig(fnNotEqual, cel.BoolType, cel.DynType, cel.DynType)),

		// These are the planner's.
		declare(operators.Conditional, nil, sig("conditional", typeA, cel.BoolType, typeA, typeA)),
		declare(operators.Index, nil, sig("index_list", typeA, listOfA, cel.IntType), sig("index_map", typeB, mapOfB, cel.StringType)),
		declare(fnIndex, cel.SingletonUnaryBinding(index), sig(fnIndex, cel.DynType, cel.DynType)),
		cel.Function(operators.NotStrictlyFalse, cel.Overload("not_strictly_false", []*cel.Type{cel.BoolType}, cel.BoolType,
			cel.OverloadIsNonStrict(), cel.UnaryBinding(notStrictlyFalse))),

		declare(operators.LogicalNot, cel.SingletonUnaryBinding(not), sig("not", cel.BoolType, cel.BoolType)),
		declare(operators.In, cel.SingletonBinaryBinding(contains),
			sig("in_list", cel.BoolType, typeA, listOfA), sig("in_map", cel.BoolType, cel.StringType, mapOfB)),
		ordering(operators.Less, "less", func(c int) bool { return c < 0 }),
		ordering(operators.LessEquals, "less_equals", func(c int) bool { return c <= 0 }),
		ordering(operators.Greater, "greater", func(c int) bool { return c > 0 }),
		ordering(operators.GreaterEquals, "greater_equals", func(c int) bool { return c >= 0 }),
		declare(operators.Add, cel.SingletonBinaryBinding(plus), sig("add", decimalType, decimalType, decimalType),
			sig("concat", cel.StringType, cel.StringType, cel.StringType), sig("join", listOfA, listOfA, listOfA)),
		calculation(operators.Subtract, "subtract", subtract),
		calculation(operators.Multiply, "multiply", multiply),
		calculation(operators.Divide, "divide", divide),
		calculation(operators.Modulo, "remainder", remainder),
		declare(operators.Negate, cel.SingletonUnaryBinding(func(v ref.Val) ref.Val {
			d, ok := v.(*decimal)
			if !ok {
				return types.NewErr("%s has no sign", aValue(v))
			}
			return number(negate(d))
		}), sig("negate", decimalType, decimalType)),
	}
}

func ordering(operator, id string, holds func(int) bool) cel.EnvOption {
	return declare(operator, cel.SingletonBinaryBinding(func(a, b ref.Val) ref.Val {
		c, err := compare(a, b)
		return boolean(holds(c), err)
	}), sig(id+"_number", cel.BoolType, decimalType, decimalType), sig(id+"_string", cel.BoolType, cel.StringType, cel.StringType))
}

func calculation(operator, id string, op arithmetic) cel.EnvOption {
	return declare(operator, cel.SingletonBinaryBinding(func(a, b ref.Val) ref.Val {
		return calculate(op, a, b)
	}), sig(id, decimalType, decimalType, decimalType))
}

func calculate(op arithmetic, a, b ref.Val) ref.Val {
	x, ok := a.(*decimal)
	y, also := b.(*decimal)
	if !ok || !also {
		return types.NewErr("arithmetic with %s and %s", aValue(a), aValue(b))
	}
	return number(op(x, y))
}

func number(d *decimal, err error) ref.Val {
	if err != nil {
		return types.WrapErr(err)
	}
	return d
}

func plus(a, b ref.Val) ref.Val {
	switch x := a.(type) {
	case types.String:
		if y, ok := b.(types.String); ok {
			return x + y
		}
	case traits.Lister:
		if y, ok := b.(traits.Lister); ok {
			return x.Add(y)
		}
	}
	return calculate(add, a, b)
}

func not(v ref.Val) ref.Val {
	b, ok := v.(types.Bool)
	if !ok {
		return types.NewErr("%s is neither true nor false", aValue(v))
	}
	return !b
}

func notStrictlyFalse(v ref.Val) ref.Val {
	if b, ok := v.(types.Bool); ok {
		return b
	}
	return types.True
}

// index makes an index of what a rule computed.
func index(v ref.Val) ref.Val {
	d, ok := v.(*decimal)
	if !ok {
		return v
	}
	i, err := d.num.Int64()
	if err != nil || i < 0 || i > math.MaxInt32 {
		return types.NewErr("an index is a whole number from 0")
	}
	return types.Int(i)
}

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
