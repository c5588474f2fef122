package repair

import (
	"bytes"
	"errors"
	"strings"

	"github.com/signet-egress/signet/internal/jsonx"
)

// quotes are a pair that strings stand between.
type quotes struct {
	opening, closing string
	// lookalike are quotes that the string cannot hold unescaped: a reader may
	// take them for its end.
	lookalike string
}

// quotePairs are JSON's own and the wrong kinds that are mended.
var quotePairs = [...]quotes{
	{opening: `"`, closing: `"`},
	{opening: `'`, closing: `'`},
	{opening: "“", closing: "”", lookalike: "\"“„‟"},
	{opening: "‘", closing: "’", lookalike: "'‘‚‛`´"},
}

// quote is the pair whose opening stands here, else the zero value.
func (s *scanner) quote() quotes {
	for _, pair := range quotePairs {
		if s.has(pair.opening) {
			return pair
		}
	}
	return quotes{}
}

// string takes a string literal and decodes it.
func (s *scanner) string(q quotes) error {
	from := s.at + len(q.opening)
	length := lengthTo(q.closing, s.text[from:])
	if length < 0 {
		return refuse(s.at, CutString, "")
	}
	body := s.text[from : from+length]
	if q.lookalike != "" && bytes.ContainsAny(body, q.lookalike) {
		return refuse(s.at, TwoReadings, "a string with quotes of several kinds")
	}
	decoded, err := decode(body, q)
	if err != nil {
		return refuse(s.at, BadString, err.Error())
	}
	s.emit(token{kind: tokenString, text: decoded, plain: q.closing == `"`}, from+length+len(q.closing))
	return nil
}

// lengthTo is how many bytes come before the quote that ends a string, the first
// without a backslash; negative where there is none.
func lengthTo(quote string, body []byte) int {
	for i := 0; i < len(body); i++ {
		switch {
		case body[i] == '\\':
			i++
		case bytes.HasPrefix(body[i:], []byte(quote)):
			return i
		}
	}
	return -1
}

// decode reads the inside of a string. In quotes of another kind it takes the
// escapes that JSON, JavaScript and Python read alike, which leaves out \/.
func decode(body []byte, q quotes) (string, error) {
	literal := make([]byte, 0, len(body)+2)
	literal = append(literal, '"')
	if q.closing == `"` {
		literal = append(literal, body...)
	} else {
		for i := 0; i < len(body); i++ {
			switch {
			case body[i] == '"':
				literal = append(literal, `\"`...)
			case body[i] != '\\':
				literal = append(literal, body[i])
			case i+1 < len(body) && body[i+1] == '\'':
				literal = append(literal, '\'')
				i++
			case i+1 < len(body) && strings.IndexByte(`"\bfnrtu`, body[i+1]) >= 0:
				literal = append(literal, body[i:i+2]...)
				i++
			default:
				return "", errors.New("an escape that not every language reads alike")
			}
		}
	}
	value, err := jsonx.Parse(append(literal, '"'), jsonx.Options{})
	if err != nil {
		var problem *jsonx.Error
		if errors.As(err, &problem) {
			err = errors.New(string(problem.Problem)) // where it is in the literal tells nobody anything
		}
		return "", err
	}
	return value.Text, nil
}
