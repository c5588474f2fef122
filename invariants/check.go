package invariants

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/signet-egress/signet/internal/jsonx"
)

// interruptEvery is how many rounds of a loop pass between looks at the clock:
// one round can take milliseconds.
const interruptEvery = 1

// Violation is a rule that does not hold.
type Violation struct {
	RuleID string
	// Message says why, for the agent's author: the check and what became of it,
	// and no value of the payload.
	Message string
}

// Check evaluates all rules, and returns those that do not hold, in their order.
// None: the payload may go.
func (p *Program) Check(ctx context.Context, in Input) []Violation {
	if len(p.rules) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.Time)
	defer cancel()
	vars := &variables{in: in}
	var violations []Violation
	for _, rule := range p.rules {
		if message := rule.check.violated(ctx, vars); message != "" {
			violations = append(violations, Violation{RuleID: rule.id, Message: message})
		}
	}
	return violations
}

// evaluator is one compiled expression.
type evaluator struct {
	program cel.Program
	places  *ast.SourceInfo
	source  string
	result  *cel.Type
	names   []string
	loops   bool // only then does CEL look at the clock
	cost    uint64
}

// violated is empty if the expression is true, else why it is not.
func (e *evaluator) violated(ctx context.Context, vars *variables) string {
	result, err := e.eval(ctx, vars)
	if err != nil {
		return fmt.Sprintf("%s: %v", e.source, err)
	}
	switch result {
	case types.True:
		return ""
	case types.False:
		return e.source + " is false"
	}
	return fmt.Sprintf("%s: is %s, neither true nor false", e.source, aValue(result))
}

func (e *evaluator) eval(ctx context.Context, vars *variables) (ref.Val, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("no time left: %w", err)
	}
	var (
		result ref.Val
		err    error
	)
	if e.loops {
		result, _, err = e.program.ContextEval(ctx, vars)
	} else {
		result, _, err = e.program.Eval(vars)
	}
	if err == nil {
		return result, nil
	}
	var cancelled interpreter.EvalCancelledError
	switch {
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded:
		return nil, fmt.Errorf("it costs more than %d steps", e.cost)
	case errors.Is(err, interpreter.InterruptError{}):
		return nil, fmt.Errorf("it was cut off: %w", context.Cause(ctx))
	}
	return nil, e.placed(err)
}

// placed says where in the expression an error arose, and tells nothing of the
// payload.
func (e *evaluator) placed(err error) error {
	text := e.discreet(err.Error())
	var value *types.Err
	if !errors.As(err, &value) || value.NodeID() == 0 {
		return errors.New(text)
	}
	line, column := position(e.places, value.NodeID())
	return fmt.Errorf("at %d:%d: %s", line, column, text)
}

// discreet says what CEL's evaluator says without a key or an index that comes
// from a document, and without its own terms.
func (e *evaluator) discreet(text string) string {
	const missing, bounds, overload, iterable = "no such key", "index out of bounds", "no such overload", "expected iterable type"
	key, computed := strings.CutPrefix(text, missing+": ")
	switch {
	case computed && !slices.Contains(e.names, key):
		return missing
	case strings.HasPrefix(text, bounds):
		return bounds
	case text == overload:
		return "a condition is neither true nor false"
	case strings.HasSuffix(text, iterable):
		return "neither an array nor an object to go through"
	}
	return text
}

// Input is what rules look at. Documents are not changed.
type Input struct {
	// Original is what the payload was made from; nil if there is none, and then
	// every rule that looks at it is violated.
	Original *jsonx.Value
	// Transformed is the payload.
	Transformed *jsonx.Value
	Request     Request
	// Facts are documents by the name of their fact.
	Facts map[string]*jsonx.Value
}

// Request is the exchange that the payload belongs to, as policy decided it.
type Request struct {
	Method, Scheme, Host, Path string
	Agent, Trace               string
}

// requestFields are the names that rules have for Request's fields.
var requestFields = [...]string{"method", "scheme", "host", "path", "agent", "trace"}

func isRequestField(name string) bool {
	for _, field := range requestFields {
		if field == name {
			return true
		}
	}
	return false
}

func (r *Request) document() *jsonx.Value {
	values := [...]string{r.Method, r.Scheme, r.Host, r.Path, r.Agent, r.Trace}
	items := make([]jsonx.Value, len(values))
	for i, text := range values {
		items[i] = jsonx.Value{Kind: jsonx.String, Text: text, Name: requestFields[i]}
	}
	return &jsonx.Value{Kind: jsonx.Object, Items: items}
}

// variables resolves the four variables of a rule. It belongs to one check.
type variables struct {
	in             Input
	request, facts *jsonx.Value // made when a rule asks
}

var _ interpreter.Activation = (*variables)(nil)

// ResolveName is the document of that name.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case "original":
		return document(v.in.Original)
	case "transformed":
		return document(v.in.Transformed)
	case "request":
		if v.request == nil {
			v.request = v.in.Request.document()
		}
		return document(v.request)
	case "facts":
		if v.facts == nil {
			v.facts = factsDocument(v.in.Facts)
		}
		return document(v.facts)
	}
	return nil, false
}

// Parent is none.
func (v *variables) Parent() interpreter.Activation { return nil }

func document(v *jsonx.Value) (any, bool) {
	if v == nil {
		return nil, false
	}
	return celValue(v), true
}

func factsDocument(facts map[string]*jsonx.Value) *jsonx.Value {
	out := &jsonx.Value{Kind: jsonx.Object}
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		if facts[name] == nil {
			continue
		}
		member := *facts[name]
		member.Name = name
		out.Items = append(out.Items, member)
	}
	return out
}
