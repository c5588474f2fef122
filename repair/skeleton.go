package repair

import (
	"errors"
	"strconv"
	"strings"

	"github.com/kaptinlin/jsonrepair"

	"github.com/signet-egress/signet/internal/jsonx"
)

// A skeleton is a text's structure: its tokens, with a placeholder for each name
// and scalar, and without comments and code fences. It is all that a
// repairer sees. So none can change a value: jsonrepair, which takes a comma
// away that a string ends with and rewrites what looks like a path, no more than
// a model, which must not learn values in the first place.

// Placeholders hold the token's number: names, strings and words behind a letter,
// in the quotes that they had; numbers and literals in a number.
const (
	textPrefix  = "s"
	firstNumber = 1_000_000 // plus the token's number: as many digits, no leading zero
)

// skeletonOf writes tokens with placeholders, in the form that each had. Brackets
// that can only be missing at one place are there already: jsonrepair looks for
// them at the end.
func skeletonOf(tokens []token, missing map[int]string) []byte {
	skeleton := make([]byte, 0, 8*len(tokens))
	for i, t := range tokens {
		index := strconv.Itoa(i)
		skeleton = append(skeleton, missing[t.start]...)
		switch t.kind {
		case tokenComment, tokenFence:
			continue
		case tokenOpen, tokenClose:
			skeleton = append(skeleton, t.text...)
		case tokenComma:
			skeleton = append(skeleton, ',')
		case tokenColon:
			skeleton = append(skeleton, ':')
		case tokenNumber, tokenLiteral:
			skeleton = strconv.AppendInt(skeleton, firstNumber+int64(i), 10)
		case tokenWord:
			skeleton = append(append(skeleton, textPrefix...), index...)
		case tokenStray:
			skeleton = append(skeleton, t.text...)
		case tokenString:
			quote := `"`
			if !t.plain {
				quote = `'`
			}
			skeleton = append(skeleton, quote+textPrefix+index+quote...)
		}
		skeleton = append(skeleton, ' ')
	}
	return skeleton
}

// ask has jsonrepair repair the skeleton, and puts back what the placeholders
// stand for. What comes is still to be held against the tokens: it also repairs
// by guessing.
func ask(tokens []token, missing map[int]string) (answer *jsonx.Value, err error) {
	defer func() {
		if recover() != nil { // a fault of the library is a text that is not repaired
			answer, err = nil, refuse(noOffset, Disagreement, "one failed")
		}
	}()
	repaired, err := jsonrepair.Repair(string(skeletonOf(tokens, missing)))
	if err != nil {
		return nil, refuse(noOffset, Disagreement, "one came to none")
	}
	answer, err = jsonx.Parse([]byte(repaired), jsonx.Options{})
	if err != nil {
		return nil, refuse(noOffset, Disagreement, "one came to what is not JSON")
	}
	if err := fill(answer, tokens); err != nil {
		return nil, err
	}
	return answer, nil
}

// fill puts names and scalars where their placeholders are.
func fill(v *jsonx.Value, tokens []token) error {
	switch v.Kind {
	case jsonx.Object, jsonx.Array:
		for i := range v.Items {
			item := &v.Items[i]
			if v.Kind == jsonx.Object {
				name, err := standsFor(item.Name, textPrefix, 0, tokens)
				if err != nil {
					return err
				}
				item.Name = name.text
			}
			if err := fill(item, tokens); err != nil {
				return err
			}
		}
		return nil
	case jsonx.String:
		t, err := standsFor(v.Text, textPrefix, 0, tokens)
		v.Text = t.text
		return err
	}
	t, err := standsFor(v.Text, "", firstNumber, tokens)
	if v.Text = t.text; t.kind == tokenLiteral {
		v.Kind, v.Text = t.value, ""
	}
	return err
}

// standsFor is the token that a placeholder stands for.
func standsFor(placeholder, prefix string, first int, tokens []token) (token, error) {
	if digits, ok := strings.CutPrefix(placeholder, prefix); ok {
		if i, err := strconv.Atoi(digits); err == nil && i >= first && i-first < len(tokens) {
			return tokens[i-first], nil
		}
	}
	return token{}, refuse(noOffset, NotPreserved, "a name or value that is not in the text")
}

// unreadable is the refusal of a repaired text that the strict reader refuses,
// such as one with a name twice. Offsets into it tell nobody anything.
func unreadable(err error) error {
	var problem *jsonx.Error
	if !errors.As(err, &problem) {
		return refuse(noOffset, Unreadable, err.Error())
	}
	return &Refusal{Offset: noOffset, Pointer: problem.Pointer, Cause: Unreadable, Detail: string(problem.Problem)}
}
