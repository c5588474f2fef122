package invariants

import (
	"math"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
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
