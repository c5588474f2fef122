package invariants

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/signet-egress/signet/internal/jsonx"
)

// rewriter turns what CEL parsed into the rule language. It works twice on one
// tree: before the types are checked it makes decimals of numeric literals,
// macro expansions included, and after it gives operators their meaning here.
type rewriter struct {
	tree    *ast.AST
	source  []rune
	make    ast.ExprFactory
	nextID  int64
	indices map[int64]bool // literals that stay integers
	names   map[string]bool
	loops   bool
	problem *problem // the first
}

// problem is what is wrong with the part of a rule that an expression came from.
type problem struct {
	id   int64
	text string
}

func newRewriter(tree *ast.AST, source string) *rewriter {
	return &rewriter{
		tree: tree, source: []rune(source), make: ast.NewExprFactory(), nextID: ast.MaxID(tree),
		indices: map[int64]bool{}, names: map[string]bool{},
	}
}

func (r *rewriter) fail(id int64, format string, args ...any) {
	if r.problem == nil {
		r.problem = &problem{id: id, text: fmt.Sprintf(format, args...)}
	}
}

// newID is for an expression that stands where the one with that id does.
func (r *rewriter) newID(at int64) int64 {
	r.nextID++
	if where, ok := r.tree.SourceInfo().GetOffsetRange(at); ok {
		r.tree.SourceInfo().SetOffsetRange(r.nextID, where)
	}
	return r.nextID
}

// literals makes a decimal of each numeric literal, and an integer of each index
// that is not a literal.
func (r *rewriter) literals() {
	ast.PreOrderVisit(r.tree.Expr(), ast.NewExprVisitor(r.findIndex))
	ast.PostOrderVisit(r.tree.Expr(), ast.NewExprVisitor(r.literal))
}

func (r *rewriter) findIndex(e ast.Expr) {
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		if call.FunctionName() != operators.Index {
			return
		}
		switch at := call.Args()[1]; at.Kind() {
		case ast.LiteralKind:
			r.indices[at.ID()] = true
			if name, ok := at.AsLiteral().(types.String); ok {
				r.names[string(name)] = true
			}
		default:
			inner := r.make.NewUnspecifiedExpr(r.newID(at.ID()))
			inner.SetKindCase(at)
			at.SetKindCase(r.make.NewCall(at.ID(), fnIndex, inner))
		}
	case ast.SelectKind:
		r.names[e.AsSelect().FieldName()] = true
	case ast.StructKind:
		r.fail(e.ID(), "messages are no part of the rule language")
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			key := entry.AsMapEntry().Key()
			if _, ok := key.AsLiteral().(types.String); key.Kind() != ast.LiteralKind || !ok {
				r.fail(key.ID(), "the names of an object are string literals")
			}
		}
	}
}

func (r *rewriter) literal(e ast.Expr) {
	if e.Kind() != ast.LiteralKind {
		return
	}
	var text string
	switch v := e.AsLiteral().(type) {
	case types.Int, types.Uint:
		if r.indices[e.ID()] {
			return
		}
		text = fmt.Sprint(v.Value())
	case types.Double:
		text = r.doubleText(e.ID(), v)
	case types.Bytes:
		r.fail(e.ID(), "bytes are no part of the rule language")
		return
	default:
		return
	}
	argument := r.make.NewLiteral(r.newID(e.ID()), types.String(text))
	e.SetKindCase(r.make.NewCall(e.ID(), fnNumber, argument))
}

// doubleLiteral is CEL's token, after a sign that may stand apart.
var doubleLiteral = regexp.MustCompile(`^(-?)\s*(\d*(?:\.\d+)?(?:[eE][+-]?\d+)?)`)

// doubleText is how a literal with a fraction or an exponent was written: CEL
// has already rounded it to a double. Where the text ends is not what CEL says,
// which leaves white space out of account.
func (r *rewriter) doubleText(id int64, rounded types.Double) string {
	where, ok := r.tree.SourceInfo().GetOffsetRange(id)
	if !ok || where.Start < 0 || int(where.Start) > len(r.source) {
		r.fail(id, "a number without a place in the rule")
		return ""
	}
	m := doubleLiteral.FindStringSubmatch(string(r.source[where.Start:]))
	text := m[1] + m[2]
	if types.String(text).ConvertToType(types.DoubleType).Equal(rounded) != types.True {
		r.fail(id, "a number that is not the one that was written")
	}
	return text
}

// meanings gives the operators of a checked tree the meaning of the rule
// language, and makes literal arguments ready.
func (r *rewriter) meanings() {
	ast.PostOrderVisit(r.tree.Expr(), ast.NewExprVisitor(r.meaning))
}

func (r *rewriter) meaning(e ast.Expr) {
	switch e.Kind() {
	case ast.CallKind:
		r.call(e, e.AsCall())
	case ast.ComprehensionKind:
		r.loops = true
	case ast.SelectKind:
		selected := e.AsSelect()
		if operand := selected.Operand(); operand.Kind() == ast.IdentKind && operand.AsIdent() == "request" && !isRequestField(selected.FieldName()) {
			r.fail(e.ID(), "request has no %s; it has %s", selected.FieldName(), strings.Join(requestFields[:], ", "))
		}
	}
}

func (r *rewriter) call(e ast.Expr, call ast.CallExpr) {
	args := call.Args()
	switch call.FunctionName() {
	case operators.Equals:
		r.rename(e, fnEqual, args)
	case operators.NotEquals:
		r.rename(e, fnNotEqual, args)
	case operators.LogicalAnd:
		// In CEL false && error and error && false are both false. Here an error
		// on the way is an error: what is evaluated must hold.
		r.rename(e, operators.Conditional, []ast.Expr{args[0], args[1], r.make.NewLiteral(r.newID(e.ID()), types.False)})
	case operators.LogicalOr:
		r.rename(e, operators.Conditional, []ast.Expr{args[0], r.make.NewLiteral(r.newID(e.ID()), types.True), args[1]})
	case fnNumber:
		literal, _ := literalString(args[0])
		r.number(e, literal, parseDecimal)
	case fnDecimal:
		if literal, ok := literalString(args[0]); ok {
			r.number(e, literal, plainDecimal)
		}
	case fnMatches:
		prepare(r, args[0], "a regular expression", regexp.Compile)
	case "sum":
		if len(args) == 2 {
			prepare(r, args[1], "a JSON Pointer", jsonx.ParsePointer)
		}
	}
}

// number makes a constant of a literal. Only in plain notation is it a literal of
// JSON too: .5 and 0x10 are not.
func (r *rewriter) number(e ast.Expr, literal string, parse func(string) (*decimal, error)) {
	d, err := parse(literal)
	if err != nil {
		r.fail(e.ID(), "%s: %v", literal, err)
		return
	}
	if !plainNumber(literal) {
		d.literal = ""
	}
	r.constant(e, d)
}

func literalString(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

func (r *rewriter) rename(e ast.Expr, function string, args []ast.Expr) {
	r.tree.SetReference(e.ID(), ast.NewFunctionReference(function))
	e.SetKindCase(r.make.NewCall(e.ID(), function, args...))
}

func (r *rewriter) constant(e ast.Expr, v ref.Val) {
	delete(r.tree.ReferenceMap(), e.ID())
	e.SetKindCase(r.make.NewLiteral(e.ID(), v))
}

// prepare makes a literal argument ready, and refuses one that is computed: what
// a payload says is no pattern.
func prepare[T any](r *rewriter, arg ast.Expr, what string, ready func(string) (T, error)) {
	literal, ok := literalString(arg)
	if !ok {
		r.fail(arg.ID(), "%s is a string literal", what)
		return
	}
	v, err := ready(literal)
	if err != nil {
		r.fail(arg.ID(), "%v", err)
		return
	}
	r.constant(arg, &constant[T]{ready: v})
}
