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
	abuts  bool // an element behind a string without a comma, which may be its value
}

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
	for _, e := range events {
		if e.abuts {
			return nil, refuse(e.at, TwoReadings, "a closing bracket is missing, and here a comma or a colon")
		}
	}
	if last := tokens[len(tokens)-1]; last.kind == tokenComment {
		return nil, refuse(last.start, TwoReadings, "a closing bracket is missing, and so may be what comes behind this comment")
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
		e.abuts = abuts(events, e)
		events = append(events, e)
		before, i = t, i+1
	}
	return events, nil
}

// abuts tells whether e follows a string without a comma.
func abuts(before []event, e event) bool {
	return len(before) > 0 && before[len(before)-1].string && !e.comma && !e.keyed && e.closes == 0
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
	if !isKey && mayBeShifted(before, t) {
		return refuse(t.start, TwoReadings, "a string side by side with a bracket: its quotes may be its neighbours'")
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

// mayBeShifted tells whether a string stands beside a bracket without a comma or
// white space, as it does where two quotes are lost and the ones between them
// pair up the other way.
func mayBeShifted(before, t token) bool {
	return before.end == t.start &&
		(before.kind == tokenString && t.kind == tokenOpen || before.kind == tokenClose && t.kind == tokenString)
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
