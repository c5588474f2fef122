package repair

import (
	"strconv"

	"github.com/signet-egress/signet/internal/jsonx"
)

// faithful holds an answer, from wherever it came, against the tokens of the
// text. Where it has every name and scalar of the text, in the same order and
// role, and nothing besides, and where no other answer has, the result is the
// text with only those places changed that keep it from being JSON.
func faithful(text []byte, a aligner, answer *jsonx.Value, limits Limits) (*Result, error) {
	if err := a.document(answer); err != nil {
		return nil, err
	}
	if _, err := onlyShape(a.events, a.tokens); err != nil {
		return nil, err
	}
	if len(a.edits) > limits.Edits {
		return nil, refuse(int(a.edits[limits.Edits].Offset), TooLarge, strconv.Itoa(len(a.edits))+" edits; at most "+strconv.Itoa(limits.Edits)+" are made")
	}
	repaired := apply(text, a.edits)
	value, err := jsonx.Parse(repaired, jsonx.Options{Limits: limits.JSON})
	if err != nil {
		return nil, unreadable(err)
	}
	if !jsonx.Equal(value, answer) {
		return nil, refuse(noOffset, Disagreement, "")
	}
	return &Result{Text: repaired, Value: value, Edits: a.edits, Before: Digest(text), After: Digest(repaired)}, nil
}

// aligner walks an answer and the tokens of the text side by side.
type aligner struct {
	tokens []token
	model  bool // the answer may have colons and quotes that the text has not
	next   int  // of tokens
	last   int  // where the last token ended that is in the answer too
	way    jsonx.Pointer
	edits  []Edit
	events []event // what the text is by this answer, with the brackets that it has
}

func (a *aligner) edit(op Op, start, end int, with string) {
	a.edits = append(a.edits, Edit{Op: op, Path: pathOf(a.way), Offset: int64(start), end: end, with: with})
}

// peek is the n-th token to come, from 0, that is not dropped anyway.
func (a *aligner) peek(n int) token {
	for _, t := range a.tokens[a.next:] {
		if t.dropped() {
			continue
		}
		if n == 0 {
			return t
		}
		n--
	}
	return token{start: a.end(), end: a.end()}
}

func (a *aligner) end() int {
	if len(a.tokens) == 0 {
		return 0
	}
	return a.tokens[len(a.tokens)-1].end
}

// take goes past the next token, and past what is dropped before it.
func (a *aligner) take() token {
	a.drop()
	if a.next == len(a.tokens) {
		return token{start: a.end(), end: a.end()}
	}
	t := a.tokens[a.next]
	a.next++
	a.last = t.end
	return t
}

func (a *aligner) drop() {
	for ; a.next < len(a.tokens); a.next++ {
		switch t := a.tokens[a.next]; t.kind {
		case tokenComment:
			a.edit(RemoveComment, t.start, t.end, "")
		case tokenFence:
			a.edit(RemoveFence, t.start, t.end, "")
		case tokenStray:
			a.edit(RemoveStray, t.start, t.end, "")
		default:
			return
		}
	}
}

func (a *aligner) refuse(t token) error {
	return &Refusal{Offset: int64(t.start), Pointer: pathOf(a.way), Cause: NotPreserved}
}

func (a *aligner) document(root *jsonx.Value) error {
	a.events = append(a.events, eventOf(root, false, a.peek(0).start))
	if err := a.value(root); err != nil {
		return err
	}
	if a.peek(0).kind == tokenComma {
		t := a.take()
		a.edit(RemoveComma, t.start, t.end, "")
	}
	a.drop()
	if a.next < len(a.tokens) {
		return a.refuse(a.tokens[a.next])
	}
	return nil
}

func (a *aligner) value(v *jsonx.Value) error {
	t := a.take()
	switch v.Kind {
	case jsonx.Object, jsonx.Array:
		if brackets := bracketsOf(v); t.kind != tokenOpen || t.text != brackets[:1] {
			return a.refuse(t)
		}
		return a.items(v)
	case jsonx.String:
		return a.text(t, v.Text, QuoteWord, a.model)
	case jsonx.Number:
		if t.kind != tokenNumber || t.text != v.Text {
			return a.refuse(t)
		}
	default:
		if t.kind != tokenLiteral || t.value != v.Kind {
			return a.refuse(t)
		}
		if !t.plain {
			a.edit(Literal, t.start, t.end, string(jsonx.Append(nil, v)))
		}
	}
	return nil
}

// text takes a string or name, which may be a word only where that is said.
func (a *aligner) text(t token, want string, quote Op, word bool) error {
	switch {
	case t.text != want || t.kind != tokenString && (t.kind != tokenWord || !word):
		return a.refuse(t)
	case t.kind == tokenWord:
		a.edit(quote, t.start, t.end, string(jsonx.AppendString(nil, want)))
	case !t.plain:
		a.edit(Requote, t.start, t.end, string(jsonx.AppendString(nil, want)))
	}
	return nil
}

func eventOf(v *jsonx.Value, keyed bool, at int) event {
	e := event{at: at, keyed: keyed, string: !keyed && v.Kind == jsonx.String}
	if v.Kind == jsonx.Object || v.Kind == jsonx.Array {
		e.opens = bracketsOf(v)[0]
	}
	return e
}

func bracketsOf(v *jsonx.Value) string {
	if v.Kind == jsonx.Object {
		return "{}"
	}
	return "[]"
}

func (a *aligner) items(v *jsonx.Value) error {
	for i := range v.Items {
		item := &v.Items[i]
		if v.Kind == jsonx.Object {
			a.way = append(a.way, item.Name)
		} else {
			a.way = append(a.way, strconv.Itoa(i))
		}
		comma := i > 0 && a.comma()
		e := eventOf(item, v.Kind == jsonx.Object, a.peek(0).start)
		e.comma = comma
		e.abuts = i > 0 && abuts(a.events, e)
		a.events = append(a.events, e)
		if v.Kind == jsonx.Object {
			if err := a.name(item.Name); err != nil {
				return err
			}
		}
		if err := a.value(item); err != nil {
			return err
		}
		a.way = a.way[:len(a.way)-1]
	}
	a.close(bracketsOf(v)[1:])
	return nil
}

// comma takes or adds one; it tells whether it was there.
func (a *aligner) comma() bool {
	if a.peek(0).kind == tokenComma {
		a.take()
		return true
	}
	a.edit(AddComma, a.last, a.last, ",")
	return false
}

func (a *aligner) name(name string) error {
	if err := a.text(a.take(), name, QuoteName, true); err != nil {
		return err
	}
	switch next := a.peek(0); {
	case next.kind == tokenColon:
		a.take()
	case a.model:
		a.edit(AddColon, a.last, a.last, ":")
	default:
		return a.refuse(next)
	}
	return nil
}

// close takes the bracket, and a comma that stands before it. Another bracket,
// or an item, shows that it is missing; a comma then belongs to what comes.
func (a *aligner) close(bracket string) {
	closes := func(t token) bool { return t.kind == tokenClose && t.text == bracket }
	comma := a.peek(0).kind == tokenComma
	if comma && closes(a.peek(1)) {
		t := a.take()
		a.edit(RemoveComma, t.start, t.end, "")
	}
	if closes(a.peek(0)) {
		t := a.take()
		a.events = append(a.events, event{at: t.start, closes: opening(bracket[0]), comma: comma})
		return
	}
	a.edit(AddClose, a.last, a.last, bracket)
}
