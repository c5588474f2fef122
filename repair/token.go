package repair

import (
	"bytes"
	"strings"

	"github.com/signet-egress/signet/internal/jsonx"
)

type tokenKind uint8

const (
	tokenOpen tokenKind = iota + 1
	tokenClose
	tokenComma
	tokenColon
	tokenString
	tokenNumber
	tokenLiteral
	tokenWord    // an identifier: a name, or a string if a model says so
	tokenStray   // a separator that JSON does not have; dropped if a model says so
	tokenComment // dropped
	tokenFence   // dropped
)

// token is a piece of a text: text[start:end].
type token struct {
	kind       tokenKind
	start, end int
	text       string     // a string, decoded; a number or word as it stands; a bracket
	value      jsonx.Kind // of a literal
	plain      bool       // a string or literal in the form that JSON has
}

func (t token) scalar() bool {
	return t.kind == tokenString || t.kind == tokenNumber || t.kind == tokenLiteral
}

// dropped tells whether t is nothing of a document.
func (t token) dropped() bool {
	return t.kind == tokenComment || t.kind == tokenFence || t.kind == tokenStray
}

// literals are the closed table of other languages' literals. undefined is null,
// as JSON.stringify has it in arrays; NaN and Infinity are not here, since JSON
// has no value for them.
var literals = [...]struct {
	text  string
	value jsonx.Kind
	plain bool
}{
	{"true", jsonx.True, true},
	{"false", jsonx.False, true},
	{"null", jsonx.Null, true},
	{"True", jsonx.True, false},      // Python
	{"False", jsonx.False, false},    // Python
	{"None", jsonx.Null, false},      // Python
	{"undefined", jsonx.Null, false}, // JavaScript
}

// scan reads a text token by token. It is the independent witness of a repair:
// what is a key or a scalar of the text is decided here and nowhere else. With
// strays it also takes what only a model makes something of. The error is a
// *Refusal.
func scan(text []byte, strays bool) ([]token, error) {
	s := scanner{text: text, strays: strays}
	s.space()
	if err := s.openingFence(); err != nil {
		return nil, err
	}
	for {
		s.space()
		if s.at == len(text) {
			return s.tokens, nil
		}
		if err := s.token(); err != nil {
			return nil, err
		}
	}
}

type scanner struct {
	text   []byte
	strays bool
	at     int
	tokens []token
}

func (s *scanner) space() {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
}

// emit adds a token from at to end.
func (s *scanner) emit(t token, end int) {
	t.start, t.end = s.at, end
	s.tokens = append(s.tokens, t)
	s.at = end
}

func (s *scanner) token() error {
	c, one := s.text[s.at], s.at+1
	switch {
	case c == '{' || c == '[':
		s.emit(token{kind: tokenOpen, text: string(c)}, one)
	case c == '}' || c == ']':
		s.emit(token{kind: tokenClose, text: string(c)}, one)
	case c == ',':
		s.emit(token{kind: tokenComma}, one)
	case c == ':':
		s.emit(token{kind: tokenColon}, one)
	case s.has("//") || s.has("/*"):
		return s.comment()
	case s.has(fence):
		return s.closingFence()
	case s.quote() != (quotes{}):
		return s.string(s.quote())
	case wordByte(c):
		return s.word()
	case s.strays && strings.IndexByte(strayBytes, c) >= 0:
		s.emit(token{kind: tokenStray, text: string(c)}, one)
	default:
		return refuse(s.at, StrayCharacter, "")
	}
	return nil
}

// strayBytes stand between names and values in other notations: a=1; a => 1; (1).
const strayBytes = "=>;()"

func (s *scanner) has(prefix string) bool { return bytes.HasPrefix(s.text[s.at:], []byte(prefix)) }

const fence = "```"

// openingFence takes a line of three backticks and perhaps a language.
func (s *scanner) openingFence() error {
	if !s.has(fence) {
		return nil
	}
	end := s.at + len(fence)
	for end < len(s.text) && (wordByte(s.text[end]) || s.text[end] == ' ' || s.text[end] == '\r') {
		end++
	}
	if end == len(s.text) || s.text[end] != '\n' {
		return refuse(end, StrayCharacter, "a code fence is followed by a language and the end of the line")
	}
	s.emit(token{kind: tokenFence}, end)
	return nil
}

// closingFence takes three backticks with nothing behind them.
func (s *scanner) closingFence() error {
	end := s.at + len(fence)
	if rest := bytes.TrimLeft(s.text[end:], " \t\r\n"); len(rest) > 0 {
		return refuse(len(s.text)-len(rest), MoreThanOne, "text behind a code fence")
	}
	s.emit(token{kind: tokenFence}, end)
	return nil
}

// comment takes /* to */, or // to the end of the line. Languages do not agree
// on what ends a line, so a comment with another line end than \n is refused. So
// is one with half a pair of quotes, which may be the end of a string whose first
// quote is missing, and one with half a pair of brackets, which may be the text's.
func (s *scanner) comment() error {
	rest := s.text[s.at:]
	var comment []byte
	if rest[1] == '*' {
		length := bytes.Index(rest[2:], []byte("*/"))
		if length < 0 {
			return refuse(s.at, OpenComment, "")
		}
		comment = rest[:2+length+2]
	} else {
		comment, _, _ = bytes.Cut(rest, []byte("\n"))
		comment = bytes.TrimSuffix(comment, []byte("\r"))
		if bytes.ContainsAny(comment, "\r\u2028\u2029") {
			return refuse(s.at, TwoReadings, "a comment with a line end that not every reader takes for one")
		}
	}
	for _, q := range quotePairs {
		count := bytes.Count(comment, []byte(q.opening)) + bytes.Count(comment, []byte(q.closing))
		if same := q.opening == q.closing; count%2 == 1 || same && count/2%2 == 1 {
			return refuse(s.at, TwoReadings, "a comment with half a pair of quotes")
		}
	}
	if !wellNested(comment) {
		return refuse(s.at, TwoReadings, "a comment with half a pair of brackets")
	}
	s.emit(token{kind: tokenComment}, s.at+len(comment))
	return nil
}

// wellNested tells whether each bracket has its other half behind or before it.
func wellNested(comment []byte) bool {
	var s stack
	for _, c := range comment {
		switch c {
		case '{', '[':
			s = append(s, c)
		case '}', ']':
			if len(s) == 0 || s[len(s)-1] != opening(c) {
				return false
			}
			s = s[:len(s)-1]
		}
	}
	return len(s) == 0
}

// wordByte tells what numbers, literals and identifiers are made of.
func wordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_$+-.", c) >= 0
}

// word takes a number, a literal or an identifier.
func (s *scanner) word() error {
	end := s.at
	for end < len(s.text) && wordByte(s.text[end]) {
		end++
	}
	word := string(s.text[s.at:end])
	for _, l := range literals {
		if l.text == word {
			s.emit(token{kind: tokenLiteral, text: word, value: l.value, plain: l.plain}, end)
			return nil
		}
	}
	switch first := word[0]; {
	case word == "NaN" || word == "Infinity" || word == "-Infinity":
		return refuse(s.at, NotALiteral, word)
	case '0' <= first && first <= '9' || strings.IndexByte("+-.", first) >= 0:
		number, err := jsonx.Parse([]byte(word), jsonx.Options{})
		if err != nil || number.Kind != jsonx.Number {
			return refuse(s.at, NotANumber, "such as one with a leading zero, a plus sign, hexadecimal digits or no digit at one side of the point")
		}
		s.emit(token{kind: tokenNumber, text: word, plain: true}, end)
	case strings.ContainsAny(word, "+-.") && !s.strays:
		return refuse(s.at, BareWord, "")
	default:
		s.emit(token{kind: tokenWord, text: word}, end)
	}
	return nil
}
