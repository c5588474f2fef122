package invariants

import (
	"sync"

	"cel.dev/cel-go/cel"
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
