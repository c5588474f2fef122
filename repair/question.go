package repair

import (
	"slices"
	"strings"

	"github.com/signet-egress/signet/internal/jsonx"
)

// Question is a text that a model may be asked about: one that the closed list of
// edits does not make JSON of, but in which every name and scalar is known.
type Question struct {
	text   []byte
	tokens []token
	limits Limits
}

// Ask makes a question of a text that Local has refused. It is refused here too,
// with a *Refusal, where a model could only guess, or could not help: with a
// value that is cut, missing or none of JSON's, with a closing bracket that
// closes nothing, with prose.
func Ask(text []byte, limits Limits) (*Question, error) {
	limits = limits.effective()
	_, err := jsonx.Parse(text, jsonx.Options{Limits: limits.JSON})
	if err == nil {
		return nil, refuse(noOffset, Unreadable, "it is valid as it is")
	}
	if err := mayBeRepaired(err); err != nil {
		return nil, err
	}
	tokens, err := scan(text, true)
	if err != nil {
		return nil, err
	}
	if err := limits.check(tokens); err != nil {
		return nil, err
	}
	if err := checkQuestion(tokens); err != nil {
		return nil, err
	}
	return &Question{text: text, tokens: tokens, limits: limits}, nil
}

// Skeleton is what a model sees: brackets, commas, colons and other separators,
// with a placeholder for each name, string, word, number and literal. Nothing of
// what the text says is in it.
func (q *Question) Skeleton() string { return string(skeletonOf(q.tokens, nil)) }

// Judge holds a model's answer, a skeleton that is JSON, against the text. The
// answer may have put in commas, colons, quotes round words, and brackets that
// can be missing in one place only; all else is a *Refusal.
func (q *Question) Judge(answer []byte) (*Result, error) {
	value, err := jsonx.Parse(answer, jsonx.Options{Limits: q.limits.JSON})
	if err != nil {
		return nil, refuse(noOffset, NotPreserved, "the model's answer is not JSON")
	}
	if err := fill(value, q.tokens); err != nil {
		return nil, err
	}
	return faithful(q.text, aligner{tokens: q.tokens, model: true}, value, q.limits)
}

// checkQuestion refuses tokens that a model could only guess about.
func checkQuestion(tokens []token) error {
	var before token
	var s stack
	for i, t := range tokens {
		if t.dropped() {
			continue
		}
		switch t.kind {
		case tokenOpen:
			s.take(event{opens: t.text[0]})
		case tokenClose:
			e := event{closes: opening(t.text[0])}
			if _, ok := s.place(e); !ok {
				return refuse(t.start, UnexpectedClose, "")
			}
			s.take(e)
		}
		if len(s) > maxDepth {
			return refuse(t.start, Unreadable, string(jsonx.TooDeep))
		}
		inObject := len(s) > 0 && s[len(s)-1] == '{'
		isKey := i+1 < len(tokens) && tokens[i+1].kind == tokenColon
		if err := mayBeside(before, t, inObject || isKey); err != nil {
			return err
		}
		before = t
	}
	switch before.kind {
	case 0:
		return refuse(0, Unreadable, string(jsonx.Empty))
	case tokenNumber:
		return refuse(before.start, CutNumber, "")
	case tokenClose, tokenString, tokenLiteral:
		return nil
	}
	return refuse(before.start, CutItem, "")
}

// mayBeside tells whether t can stand behind before, by whatever is missing
// between the two.
func mayBeside(before, t token, named bool) error {
	text := func(t token) bool { return t.scalar() || t.kind == tokenWord }
	switch {
	case t.kind == tokenWord && looksLikeLiteral(t.text):
		return refuse(t.start, TwoReadings, "a word that may be a literal")
	case before.kind == tokenColon && (t.kind == tokenComma || t.kind == tokenClose || t.kind == tokenColon):
		return refuse(t.start, MissingValue, "")
	case before.kind == tokenComma && t.kind == tokenComma:
		return refuse(t.start, MisplacedComma, "")
	case !named && mayBeShifted(before, t):
		return refuse(t.start, TwoReadings, "a string side by side with a bracket")
	case !text(before) || !text(t):
		return nil
	case before.kind == tokenWord && t.kind == tokenWord:
		return refuse(t.start, BareWord, "words side by side")
	case before.end == t.start, before.kind == tokenNumber && t.kind == tokenNumber:
		return refuse(t.start, TwoReadings, "two values side by side: they may be one")
	case before.kind == tokenString && t.kind == tokenString && !named:
		return refuse(t.start, TwoReadings, "two strings without a comma: some languages join them")
	}
	return nil
}

// looksLikeLiteral tells whether a word may be meant as a truth value, as null or
// as a number, or as a part of one.
func looksLikeLiteral(word string) bool {
	word = strings.ToLower(word)
	literals := []string{"true", "false", "null", "none", "nil", "undefined", "nan", "inf", "infinity", "yes", "no", "on", "off"}
	return slices.ContainsFunc(literals, func(l string) bool { return l == word || len(word) > 1 && strings.HasPrefix(l, word) })
}
