package receipts

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// scanner reads a record that is in canonical form, member by member in the
// order that Append writes them. It is quick because it looks for nothing else,
// and may be lenient, since Decode writes the result again and compares: what it
// gives for anything but a record in canonical form does not matter.
//
// Strings without escapes share the memory of the line's one copy.
type scanner struct {
	text string
	at   int
	bad  bool
}

// scanRecord reads a line, or returns nil where it is not in canonical form.
func scanRecord(line []byte) Record {
	s := scanner{text: string(line)}
	var r Record
	switch {
	case bytes.HasSuffix(line, []byte(`"type":"`+string(TypeGenesis)+`"}`)):
		r = s.genesis()
	case bytes.HasSuffix(line, []byte(`"type":"`+string(TypeEvent)+`"}`)):
		r = s.event()
	default:
		r = s.receipt()
	}
	if s.bad || s.at != len(s.text) {
		return nil
	}
	return r
}

// have consumes text if it comes next.
func (s *scanner) have(text string) bool {
	if strings.HasPrefix(s.text[s.at:], text) {
		s.at += len(text)
		return true
	}
	return false
}

func (s *scanner) want(text string) {
	if !s.have(text) {
		s.fail()
	}
}

// fail makes everything that follows come to nothing.
func (s *scanner) fail() {
	s.bad = true
	s.at = len(s.text)
}

// str reads a string after the text that leads to it.
func (s *scanner) str(lead string) string {
	s.want(lead)
	if !s.have(`"`) {
		s.fail()
		return ""
	}
	rest := s.text[s.at:]
	end := strings.IndexByte(rest, '"')
	if end < 0 {
		s.fail()
		return ""
	}
	if strings.IndexByte(rest[:end], '\\') >= 0 {
		return s.escaped()
	}
	s.at += end + 1
	return rest[:end]
}

// escaped reads the rest of a string that has escapes.
func (s *scanner) escaped() string {
	for end := s.at; end < len(s.text); end++ {
		switch s.text[end] {
		case '\\':
			end++
		case '"':
			var text string
			if err := json.Unmarshal([]byte(s.text[s.at-1:end+1]), &text); err != nil {
				s.fail()
				return ""
			}
			s.at = end + 1
			return text
		}
	}
	s.fail()
	return ""
}

// optional reads a string where the lead comes next, else "".
func (s *scanner) optional(lead string) string {
	if !strings.HasPrefix(s.text[s.at:], lead) {
		return ""
	}
	return s.str(lead)
}

func (s *scanner) texts(lead string) []string {
	s.want(lead)
	s.want("[")
	list := []string{}
	for !s.bad && !s.have("]") {
		if len(list) > 0 {
			s.want(",")
		}
		list = append(list, s.str(""))
	}
	return list
}

// optionalTexts is nil where the lead does not come next.
func (s *scanner) optionalTexts(lead string) []string {
	if !strings.HasPrefix(s.text[s.at:], lead) {
		return nil
	}
	return s.texts(lead)
}

func (s *scanner) integer(lead string) int64 {
	s.want(lead)
	end := s.at
	for end < len(s.text) && (s.text[end] == '-' || s.text[end] >= '0' && s.text[end] <= '9') {
		end++
	}
	n, err := strconv.ParseInt(s.text[s.at:end], 10, 64)
	if err != nil {
		s.fail()
		return 0
	}
	s.at = end
	return n
}

func (s *scanner) optionalInteger(lead string) *int64 {
	if !strings.HasPrefix(s.text[s.at:], lead) {
		return nil
	}
	n := s.integer(lead)
	return &n
}

func (s *scanner) boolean(lead string) bool {
	s.want(lead)
	if s.have("true") {
		return true
	}
	s.want("false")
	return false
}

func (s *scanner) time(lead string) time.Time {
	t, err := time.Parse(time.RFC3339, s.str(lead))
	if err != nil {
		s.fail()
	}
	return t
}

// value reads any object, and checks no more than where it ends.
func (s *scanner) value(lead string) []byte {
	s.want(lead)
	depth, quoted := 0, false
	for i := s.at; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
			if depth == 0 {
				v := []byte(s.text[s.at : i+1])
				s.at = i + 1
				return v
			}
		}
	}
	s.fail()
	return nil
}
