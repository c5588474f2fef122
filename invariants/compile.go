// Package invariants decides whether a payload still says what it has to say.
//
// A rule is an expression of CEL over the document that a payload was made from
// (original), the payload (transformed), the request, and facts that were
// remembered from earlier answers. Its numbers are exact decimals: every number
// of JSON, every literal and every result. It fails closed: a missing value, a
// wrong type, an error, a result that is not true or false, and a rule that
// costs or takes too much are violations like one that is false.
//
// docs/rules.md describes the language.
package invariants

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// Rule is one invariant: an expression or a ready-made one.
type Rule struct {
	// ID names the rule in denials, receipts and metrics: letters, digits and
	// . _ - up to 64. It is unique in a contract.
	ID string
	// Check is the expression that must be true.
	Check string
	// Use is the name of a ready-made rule, and With are its parameters.
	Use  string
	With With
}

// Options bound what rules may take. Zero fields have their defaults.
type Options struct {
	// Cost is what one rule may cost, in steps: one for a name, an index, an
	// operator or a call, and one for each 64 bytes that it goes through. Default
	// 1,000,000.
	Cost uint64
	// Time is what all rules of one check may take together, so that a payload
	// cannot hold up an exchange. Default one second.
	Time time.Duration
}

const (
	defaultCost = 1_000_000
	defaultTime = time.Second
)

func (o Options) effective() Options {
	return Options{Cost: cmp.Or(o.Cost, defaultCost), Time: cmp.Or(o.Time, defaultTime)}
}

// CompileError says what is wrong with a rule, and where.
type CompileError struct {
	Rule         string // its id
	Line, Column int    // from 1; Line is 0 or less for the rule as a whole
	Problem      string
}

func (e *CompileError) Error() string {
	if e.Line <= 0 {
		return fmt.Sprintf("rule %q: %s", e.Rule, e.Problem)
	}
	return fmt.Sprintf("rule %q at %d:%d: %s", e.Rule, e.Line, e.Column, e.Problem)
}

// Program is a set of rules, compiled. It is immutable and may be used by many
// goroutines.
type Program struct {
	rules   []compiledRule
	names   []string
	options Options
}

type compiledRule struct {
	id    string
	check check
}

var ruleID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Compile makes rules ready. The error joins all *CompileErrors.
func Compile(rules []Rule, o Options) (*Program, error) {
	p := &Program{options: o.effective()}
	var problems []error
	for i := range rules {
		if err := p.add(&rules[i]); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	slices.Sort(p.names)
	p.names = slices.Compact(p.names)
	return p, nil
}

func (p *Program) add(rule *Rule) error {
	switch {
	case !ruleID.MatchString(rule.ID):
		return &CompileError{Rule: rule.ID, Problem: "an id is letters, digits and . _ -, up to 64, and starts with a letter or a digit"}
	case slices.ContainsFunc(p.rules, func(r compiledRule) bool { return r.id == rule.ID }):
		return &CompileError{Rule: rule.ID, Problem: "another rule has this id"}
	}
	c, names, err := compileRule(rule, p.options)
	if err != nil {
		return err
	}
	p.rules = append(p.rules, compiledRule{id: rule.ID, check: c})
	p.names = append(p.names, names...)
	return nil
}

func compileRule(rule *Rule, o Options) (check, []string, error) {
	if (rule.Check == "") == (rule.Use == "") {
		return nil, nil, &CompileError{Rule: rule.ID, Problem: "a rule has a check or uses a ready-made one: one of the two"}
	}
	if rule.Use != "" {
		c, names, err := compileReadyMade(rule)
		if err != nil {
			return nil, nil, &CompileError{Rule: rule.ID, Problem: err.Error()}
		}
		return c, names, nil
	}
	e, err := compile(rule.ID, rule.Check, o)
	if err != nil {
		return nil, nil, err
	}
	if t := e.result; t != cel.BoolType && t != cel.DynType {
		return nil, nil, &CompileError{Rule: rule.ID, Problem: fmt.Sprintf("a check is true or false, and this is a %s", strings.ReplaceAll(cel.FormatCELType(t), "decimal", "number"))}
	}
	return e, e.names, nil
}

// Names are the member names that the rules use, sorted. A document in which
// another name differs from one of them only in case is read in two ways.
func (p *Program) Names() []string { return p.names }

// compile makes one expression ready.
func compile(id, source string, o Options) (*evaluator, error) {
	env, err := language()
	if err != nil {
		return nil, fmt.Errorf("rule language: %w", err)
	}
	parsed, issues := env.Parse(source)
	if issues.Err() != nil {
		return nil, issueError(id, issues)
	}
	before := newRewriter(parsed.NativeRep(), source)
	before.literals()
	if before.problem != nil {
		return nil, before.error(id)
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, issueError(id, issues)
	}
	after := newRewriter(checked.NativeRep(), source)
	after.meanings()
	if after.problem != nil {
		return nil, after.error(id)
	}
	program, err := env.PlanProgram(checked.NativeRep(), cel.CostLimit(o.Cost), cel.CostTracking(prices{}), cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		return nil, &CompileError{Rule: id, Problem: err.Error()}
	}
	names := make([]string, 0, len(before.names))
	for name := range before.names {
		names = append(names, name)
	}
	return &evaluator{
		program: program, places: checked.NativeRep().SourceInfo(), source: source,
		result: checked.OutputType(), names: names, loops: after.loops, cost: o.Cost,
	}, nil
}

func (r *rewriter) error(rule string) error {
	line, column := position(r.tree.SourceInfo(), r.problem.id)
	return &CompileError{Rule: rule, Line: line, Column: column, Problem: r.problem.text}
}

// issueError takes the first of CEL's complaints: the others are often about the
// same.
func issueError(rule string, issues *cel.Issues) error {
	first := issues.Errors()[0]
	return &CompileError{Rule: rule, Line: first.Location.Line(), Column: first.Location.Column() + 1, Problem: inWords(first.Message)}
}

var noOverload = regexp.MustCompile(`^found no matching overload for '[@_]*(.*?)_*' applied to '(.*)'$`)

// inWords says what CEL says in the words of the rule language.
func inWords(message string) string {
	switch message {
	case "invalid int literal", "invalid double literal":
		return "a number of this size is written as a string: decimal('…')"
	}
	if m := noOverload.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("%s does not go with %s", strings.ReplaceAll(m[1], "[_]", "[ ]"), strings.NewReplacer("decimal", "number", "dyn", "any").Replace(m[2]))
	}
	return strings.TrimSuffix(message, " (in container '')")
}

// position is where an expression stands in the source: line and column from 1.
func position(info *ast.SourceInfo, id int64) (line, column int) {
	at := info.GetStartLocation(id)
	return at.Line(), at.Column() + 1
}
