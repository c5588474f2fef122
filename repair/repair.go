// Package repair mends JSON that a model wrote almost right. It never guesses:
// a text is repaired by a closed list of edits where these lead to one value
// and no other, and refused everywhere else. Every key and every scalar of the
// result stands in the text that came, in the same order, none twice, none left
// out.
//
// docs/repair.md lists what is repaired, what is refused, and why.
package repair

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/signet-egress/signet/internal/jsonx"
)

// Limits bound what a repair may cost. A zero field has its default.
type Limits struct {
	JSON jsonx.Limits // of the text and the result
	// Tokens of a text that is not valid: 8,192, at most 32,768. A name, a
	// scalar, a bracket, a comma and a colon are one each. jsonrepair copies all
	// that it has written at every comma, so its time grows with their square.
	Tokens int
	Edits  int // of one text: 1,000, at most 10,000, as a receipt lists them
}

const (
	defaultTokens, maxTokens = 8_192, 32_768
	defaultEdits, maxEdits   = 1_000, 10_000
)

func (l Limits) effective() Limits {
	l.Tokens = min(cmp.Or(l.Tokens, defaultTokens), maxTokens)
	l.Edits = min(cmp.Or(l.Edits, defaultEdits), maxEdits)
	return l
}

func (l Limits) check(tokens []token) error {
	if len(tokens) > l.Tokens {
		return refuse(tokens[l.Tokens].start, TooLarge, fmt.Sprintf("%d tokens; at most %d are repaired", len(tokens), l.Tokens))
	}
	return nil
}

// Result is a text that is valid JSON.
type Result struct {
	Text   []byte       // the text that came, itself, where nothing had to be repaired
	Value  *jsonx.Value // what Text says
	Edits  []Edit       // in the order of the text; empty where nothing had to be repaired
	Before string       // sha256: digest of the text that came
	After  string       // of Text
}

// Local repairs a text without asking anybody. Valid JSON comes back as it is.
// The error is always a *Refusal.
func Local(text []byte, limits Limits) (*Result, error) {
	limits = limits.effective()
	value, err := jsonx.Parse(text, jsonx.Options{Limits: limits.JSON})
	if err == nil {
		digest := Digest(text)
		return &Result{Text: text, Value: value, Before: digest, After: digest}, nil
	}
	if err := mayBeRepaired(err); err != nil {
		return nil, err
	}
	tokens, err := scan(text, false)
	if err != nil {
		return nil, err
	}
	missing, err := checkShape(tokens)
	if err != nil {
		return nil, err
	}
	if err := limits.check(tokens); err != nil {
		return nil, err
	}
	answer, err := ask(tokens, missing)
	if err != nil {
		return nil, err
	}
	return faithful(text, aligner{tokens: tokens}, answer, limits)
}

// mayBeRepaired refuses what no edit of the list can mend, given what the
// strict reader said.
func mayBeRepaired(err error) error {
	var problem *jsonx.Error
	if !errors.As(err, &problem) {
		return refuse(noOffset, Unreadable, err.Error())
	}
	switch problem.Problem {
	case jsonx.Syntax, jsonx.Cut, jsonx.TrailingData:
	default:
		return &Refusal{Offset: problem.Offset, Pointer: problem.Pointer, Cause: Unreadable, Detail: string(problem.Problem)}
	}
	return nil
}

// Digest is how receipts name bytes: sha256: and hexadecimal digits.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
