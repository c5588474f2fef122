package invariants

import (
	"context"
	"time"

	"github.com/signet-egress/signet/internal/jsonx"
)

// Expression computes one value, as a transform does.
type Expression struct {
	eval *evaluator
	time time.Duration
}

// CompileExpression makes an expression ready. name stands for the rule's id in
// a *CompileError.
func CompileExpression(name, source string, o Options) (*Expression, error) {
	o = o.effective()
	eval, err := compile(name, source, o)
	if err != nil {
		return nil, err
	}
	return &Expression{eval: eval, time: o.Time}, nil
}

// Names are the member names that the expression uses.
func (e *Expression) Names() []string { return e.eval.names }

// Eval is the expression's value. A value that stands in a document comes as it
// is there, the text of a number included; a computed number is written in plain
// notation.
func (e *Expression) Eval(ctx context.Context, in Input) (*jsonx.Value, error) {
	ctx, cancel := context.WithTimeout(ctx, e.time)
	defer cancel()
	result, err := e.eval.eval(ctx, &variables{in: in})
	if err != nil {
		return nil, err
	}
	return jsonValue(result)
}
