package repair

import "github.com/signet-egress/signet/internal/jsonx"

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

// maxDepth is how deep a text may be nested: jsonrepair recurses.
const maxDepth = 64

// lazily reads the events so that everything is closed as late as possible. It
// gives the depth after each, the brackets that are missing before each by its
// offset, and whether anything is open at the end. The stack of any other
// reading is this one's with some brackets left out, so where this reading fails
// there is none.
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
// out; where none is to be added, there is no other. Another one differs first at
// an item, before which it closes more; it exists if from there on the lazy way
// comes to an end. In no reading a bracket is closed that nothing stands in,
// unless the text closes it.
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
