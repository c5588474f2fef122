package repair

import "github.com/signet-egress/signet/internal/jsonx"

// event is what the structure of a text is made of: an item, which is a member
// or an element, or a closing bracket.
type event struct {
	at     int  // of the token it starts with, bytes into the text
	keyed  bool // a member
	opens  byte // { or [ of an item that is an object or an array, else 0
	closes byte // of a closing bracket the opening one, else 0
	comma  bool // stands behind a comma
	string bool // an element that may as well be a name whose colon is missing
}

// maxDepth is how deep a text may be nested: jsonrepair recurses.
const maxDepth = 64

// checkShape refuses tokens that no edit of the closed list makes JSON of, and
// those of which it makes two different documents. Commas and closing brackets
// may be missing, and commas may stand before closing brackets. What it returns
// are the closing brackets that are missing before what stands at an offset;
// those that are missing at the end are not among them.
func checkShape(tokens []token) (missing map[int]string, err error) {
	solid := make([]token, 0, len(tokens))
	for _, t := range tokens {
		if !t.dropped() {
			solid = append(solid, t)
		}
	}
	if len(solid) == 0 {
		return nil, refuse(0, Unreadable, string(jsonx.Empty))
	}
	events, err := structure(solid)
	if err != nil {
		return nil, err
	}
	return onlyShape(events, tokens)
}

// onlyShape is checkShape for events that are known.
func onlyShape(events []event, tokens []token) (missing map[int]string, err error) {
	end := lastSolid(tokens)
	depths, missing, open, err := lazily(events, end.end)
	switch {
	case err != nil:
		return nil, err
	case end.kind == tokenNumber:
		return nil, refuse(end.start, CutNumber, "")
	case open && end.kind == tokenComma:
		return nil, refuse(end.start, CutItem, "after a comma")
	case balanced(events):
		return nil, nil
	}
	for _, t := range tokens {
		if t.kind == tokenComment && (!t.plain || t.start >= end.end) {
			return nil, refuse(t.start, TwoReadings, "a closing bracket is missing, and may be in this comment")
		}
	}
	return missing, onlyReading(events, depths)
}

// lastSolid is the last token that is not dropped.
func lastSolid(tokens []token) (last token) {
	for _, t := range tokens {
		if !t.dropped() {
			last = t
		}
	}
	return last
}

// structure groups tokens to events and checks what stands beside what.
func structure(tokens []token) ([]event, error) {
	events := make([]event, 0, len(tokens)/2+1)
	var before token // what the next token follows
	for i := 0; i < len(tokens); {
		t := tokens[i]
		named := t.scalar() || t.kind == tokenWord
		keyed := named && i+1 < len(tokens) && tokens[i+1].kind == tokenColon
		if err := mayFollow(before, t, keyed); err != nil {
			return nil, err
		}
		e := event{at: t.start, keyed: keyed, comma: before.kind == tokenComma, string: !keyed && t.kind == tokenString}
		switch t.kind {
		case tokenComma:
			before, i = t, i+1
			continue
		case tokenClose:
			e.closes = opening(t.text[0])
		default:
			if keyed {
				if i += 2; i == len(tokens) {
					return nil, refuse(tokens[i-1].start, CutItem, "after a colon")
				}
				t = tokens[i]
			}
			if err := isValue(t, keyed); err != nil {
				return nil, err
			}
			if t.kind == tokenOpen {
				e.opens = t.text[0]
			}
		}
		events = append(events, e)
		before, i = t, i+1
	}
	return events, nil
}

func closing(opening byte) string {
	if opening == '{' {
		return "}"
	}
	return "]"
}

func opening(closing byte) byte {
	if closing == '}' {
		return '{'
	}
	return '['
}

// mayFollow tells whether t may come after before, which is the end of an item,
// an opening bracket or a comma, with no more than a comma missing.
func mayFollow(before, t token, isKey bool) error {
	switch {
	case t.kind == tokenColon:
		return refuse(t.start, StrayCharacter, "a colon with no name before it")
	case isKey && t.kind != tokenString && t.kind != tokenWord:
		return refuse(t.start, BareWord, "as a name: only identifiers are put in quotes")
	case t.kind == tokenWord && !isKey:
		return refuse(t.start, BareWord, "")
	case t.kind == tokenComma && (before.kind == 0 || before.kind == tokenOpen || before.kind == tokenComma):
		return refuse(t.start, MisplacedComma, "")
	}
	if !before.scalar() || !t.scalar() && t.kind != tokenWord {
		return nil
	}
	switch {
	case before.end == t.start:
		return refuse(t.start, TwoReadings, "two values side by side: one of them may be part of the other")
	case before.kind == tokenNumber && t.kind == tokenNumber:
		return refuse(t.start, TwoReadings, "two numbers without a comma: they may be one")
	case before.kind == tokenString && t.kind == tokenString && !isKey:
		return refuse(t.start, TwoReadings, "two strings without a comma: some languages join them")
	}
	return nil
}

func isValue(t token, keyed bool) error {
	switch {
	case t.kind == tokenOpen || t.scalar():
		return nil
	case t.kind == tokenWord:
		return refuse(t.start, BareWord, "")
	case keyed:
		return refuse(t.start, MissingValue, "")
	}
	return refuse(t.start, StrayCharacter, "")
}

// stack is the opening brackets of what is open, outermost first.
type stack []byte

// place makes room for an event: it closes what the event cannot be inside of.
// It reports how many it closed, and false where there is no room at all.
func (s *stack) place(e event) (closed int, ok bool) {
	want := e.closes
	switch {
	case want != 0:
	case e.keyed:
		want = '{'
	default:
		want = '['
	}
	for len(*s) > 0 && (*s)[len(*s)-1] != want {
		*s = (*s)[:len(*s)-1]
		closed++
	}
	return closed, len(*s) > 0
}

// take changes the stack by an event that it has room for.
func (s *stack) take(e event) {
	switch {
	case e.closes != 0:
		*s = (*s)[:len(*s)-1]
	case e.opens != 0:
		*s = append(*s, e.opens)
	}
}

// lazily reads the events so that everything is closed as late as possible. It
// gives the depth after each, the brackets that are missing before each by its
// offset, and whether anything is open at the end. The stack of any other reading is this one's with some brackets left out, so where
// this reading fails there is none.
func lazily(events []event, end int) (depths []int, missing map[int]string, open bool, err error) {
	depths, missing = make([]int, len(events)), map[int]string{}
	var s stack
	for i, e := range events {
		if i == 0 {
			if e.keyed || e.closes != 0 {
				return nil, nil, false, refuse(e.at, UnexpectedClose, "a document starts with a value")
			}
			s.take(e)
			depths[i] = len(s)
			continue
		}
		if len(s) == 0 {
			return nil, nil, false, refuse(e.at, MoreThanOne, "")
		}
		empty := events[i-1].opens != 0
		closed, ok := s.place(e)
		switch {
		case !ok && e.closes != 0:
			return nil, nil, false, refuse(e.at, UnexpectedClose, "")
		case !ok && e.keyed:
			return nil, nil, false, refuse(e.at, StrayCharacter, "a member outside of an object")
		case !ok || closed > 0 && e.string:
			return nil, nil, false, refuse(e.at, MissingColon, "")
		case closed > 0 && e.comma && e.closes != 0:
			return nil, nil, false, refuse(e.at, CutItem, "after a comma")
		case closed > 0 && empty:
			return nil, nil, false, refuse(e.at, TwoReadings, "an opening bracket with nothing in it")
		}
		for _, opening := range s[len(s) : len(s)+closed] { // what place has cut off
			missing[e.at] = closing(opening) + missing[e.at]
		}
		s.take(e)
		if depths[i] = len(s); depths[i] > maxDepth {
			return nil, nil, false, refuse(e.at, Unreadable, string(jsonx.TooDeep))
		}
	}
	open = len(s) > 0
	if open && events[len(events)-1].opens != 0 {
		return nil, nil, false, refuse(end, CutItem, "after an opening bracket")
	}
	return depths, missing, open, nil
}

// onlyReading refuses events that another reading than the lazy one fits too.
// All readings add as many closing brackets, since none of the text's is left
// out; where none is to be added, there is no other. Another one differs first at an item, before which it closes more; it
// exists if from there on the lazy way comes to an end. In no reading a bracket
// is closed that nothing stands in, unless the text closes it.
func onlyReading(events []event, depths []int) error {
	const budget = 1 << 20
	var lazy, other stack
	steps := 0
	for i, e := range events {
		if i > 0 {
			lazy.place(e)
		}
		if e.closes == 0 && i > 0 && events[i-1].opens == 0 {
			for other = append(other[:0], lazy...); len(other) > 0; {
				other = other[:len(other)-1]
				if _, ok := other.place(e); !ok {
					break
				}
				fits, took := other.clone().fits(events[i:], depths[i:])
				if steps += took; fits || steps > budget {
					return refuse(e.at, TwoReadings, "a closing bracket is missing here, or further on")
				}
			}
		}
		lazy.take(e)
	}
	return nil
}

func (s stack) clone() *stack {
	c := append(make(stack, 0, len(s)+8), s...)
	return &c
}

// balanced tells whether no closing bracket is missing.
func balanced(events []event) bool {
	count := 0
	for _, e := range events {
		if e.opens != 0 {
			count++
		}
		if e.closes != 0 {
			count--
		}
	}
	return count == 0
}

// fits tells whether the events, which the stack has room for the first of, lead
// to an end from here, and how many it looked at. Where the stack is as deep as
// the lazy one, it is the same, and that leads to an end.
func (s *stack) fits(events []event, depths []int) (fits bool, steps int) {
	for i, e := range events {
		if i > 0 {
			closed, ok := s.place(e)
			if empty := events[i-1].opens != 0; !ok || closed > 0 && empty {
				return false, i
			}
		}
		s.take(e)
		if len(*s) == depths[i] {
			return true, i
		}
	}
	return true, len(events)
}
