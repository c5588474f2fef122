package invariants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
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
		return fmt.Sprintf("%s: %v", e.shown(), err)
	}
	holds, ok := result.(types.Bool)
	switch {
	case !ok:
		return fmt.Sprintf("%s: is %s, neither true nor false", e.shown(), aValue(result))
	case !bool(holds):
		return e.shown() + " is false"
	}
	return ""
}

// shown is the source, cut if it is long.
func (e *evaluator) shown() string {
	const most = 300
	if len(e.source) <= most {
		return e.source
	}
	cut := most
	for !utf8.RuneStart(e.source[cut]) {
		cut--
	}
	return e.source[:cut] + "…"
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
