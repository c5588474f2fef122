package jsonx

import (
	"fmt"
	"strconv"
	"strings"
)

// Pointer is a JSON Pointer (RFC 6901): the tokens, unescaped, that lead from
// the root to a value. The empty Pointer is the root.
type Pointer []string

// ParsePointer reads a pointer's string form: "" or tokens that each follow a /,
// in which ~1 is / and ~0 is ~.
func ParsePointer(s string) (Pointer, error) {
	if s == "" {
		return nil, nil
	}
	rest, ok := strings.CutPrefix(s, "/")
	if !ok {
		return nil, fmt.Errorf("%q is no JSON Pointer: it starts with /, as in /items/0/id", s)
	}
	tokens := strings.Split(rest, "/")
	for i, token := range tokens {
		unescaped, ok := unescapeToken(token)
		if !ok {
			return nil, fmt.Errorf("%q is no JSON Pointer: ~ is written ~0, and / in a name ~1", s)
		}
		tokens[i] = unescaped
	}
	return tokens, nil
}

func unescapeToken(token string) (string, bool) {
	for rest := token; ; {
		i := strings.IndexByte(rest, '~')
		if i < 0 {
			break
		}
		if i+1 == len(rest) || rest[i+1] != '0' && rest[i+1] != '1' {
			return "", false
		}
		rest = rest[i+2:]
	}
	// In this order: ~01 is ~1.
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~"), true
}

// String is the string form.
func (p Pointer) String() string {
	var b strings.Builder
	for _, token := range p {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// At is the value that a pointer leads to, else nil.
func (v *Value) At(p Pointer) *Value {
	for _, token := range p {
		if v = v.child(token); v == nil {
			return nil
		}
	}
	return v
}

// child is the member or element that a token names.
func (v *Value) child(token string) *Value {
	if v.Kind != Array {
		return v.Get(token)
	}
	index, ok := parseIndex(token)
	if !ok || index >= len(v.Items) {
		return nil
	}
	return &v.Items[index]
}

// parseIndex reads an array index: digits without leading zeros.
func parseIndex(token string) (int, bool) {
	if token == "" || token[0] < '0' || '9' < token[0] || token[0] == '0' && token != "0" {
		return 0, false
	}
	index, err := strconv.Atoi(token)
	return index, err == nil
}

// Pattern is a Pointer in which the token * stands for any one element or
// member. A member whose name is * is only reached by it.
type Pattern []string

// ParsePattern reads a pattern's string form.
func ParsePattern(s string) (Pattern, error) {
	p, err := ParsePointer(s)
	return Pattern(p), err
}

// String is the string form.
func (p Pattern) String() string { return Pointer(p).String() }

// Match is a value that a pattern leads to, and the way there.
type Match struct {
	Pointer Pointer
	Value   *Value
}

// Match finds all values that the pattern leads to, in the order of the document.
func (v *Value) Match(p Pattern) []Match {
	return v.match(nil, p, make(Pointer, 0, len(p)))
}

func (v *Value) match(found []Match, p Pattern, way Pointer) []Match {
	if len(p) == 0 {
		return append(found, Match{Pointer: append(Pointer(nil), way...), Value: v})
	}
	if p[0] != "*" {
		if child := v.child(p[0]); child != nil {
			found = child.match(found, p[1:], append(way, p[0]))
		}
		return found
	}
	for i := range v.Items {
		found = v.Items[i].match(found, p[1:], append(way, token(v, i)))
	}
	return found
}

// token names an item of an array or an object.
func token(v *Value, i int) string {
	if v.Kind == Array {
		return strconv.Itoa(i)
	}
	return v.Items[i].Name
}
