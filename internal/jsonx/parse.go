package jsonx

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Options say how Parse reads. The zero value has the default limits.
type Options struct {
	Limits Limits
	Used   *Names // names that no other name may equal but for case
}

// Parse reads one document. The error is always an *Error.
func Parse(data []byte, o Options) (*Value, error) {
	limits := o.Limits.effective()
	switch {
	case len(data) > limits.Bytes:
		return nil, problemAt(limits.Bytes, "", TooManyBytes)
	case hasByteOrderMark(data):
		return nil, problemAt(0, "", ByteOrderMark)
	}
	p := parser{
		decoder: jsontext.NewDecoder(bytes.NewBuffer(data)),
		data:    data, text: string(data),
		limits: limits, used: o.Used,
	}
	root, err := p.value(1)
	if err != nil {
		return nil, err
	}
	end := int(root.End)
	if rest := bytes.TrimLeft(data[end:], " \t\r\n"); len(rest) > 0 {
		return nil, problemAt(len(data)-len(rest), "", TrailingData)
	}
	return &root, nil
}

// parser builds a document from jsontext's tokens, which are checked for the
// grammar of RFC 8259, UTF-8, surrogate pairs and duplicate names.
type parser struct {
	decoder *jsontext.Decoder
	data    []byte
	text    string // a copy of data, which values are parts of
	limits  Limits
	used    *Names

	values int     // read so far
	open   []Value // items of the arrays and objects that are not closed yet
	spare  []Value // where the items of closed ones go
}

// value reads the next value; depth is what it has if it is an array or an object.
func (p *parser) value(depth int) (Value, error) {
	if p.values++; p.values > p.limits.Values {
		return Value{}, p.fail(int32(p.decoder.InputOffset()), TooManyValues)
	}
	switch p.decoder.PeekKind() {
	case '{':
		return p.items(Object, depth)
	case '[':
		return p.items(Array, depth)
	}
	return p.scalar()
}

func (p *parser) scalar() (v Value, err error) {
	raw, err := p.decoder.ReadValue()
	if err != nil {
		return Value{}, syntaxError(p.data, err)
	}
	v.End = int32(p.decoder.InputOffset())
	v.Start = v.End - int32(len(raw))
	switch raw.Kind() {
	case 'n':
		v.Kind = Null
	case 't':
		v.Kind = True
	case 'f':
		v.Kind = False
	case '0':
		v.Kind = Number
		v.Text = p.text[v.Start:v.End]
		err = p.checkNumber(v.Text, v.Start)
	default:
		v.Kind = String
		v.Text, err = p.string(raw)
	}
	return v, err
}

// string decodes the literal that was just read.
func (p *parser) string(raw []byte) (string, error) {
	end := int(p.decoder.InputOffset())
	start := end - len(raw)
	text := p.text[start+1 : end-1]
	if strings.IndexByte(text, '\\') >= 0 {
		decoded, err := jsontext.AppendUnquote(make([]byte, 0, len(text)), raw)
		if err != nil {
			return "", syntaxError(p.data, err)
		}
		text = string(decoded)
	}
	if len(text) > p.limits.String {
		return "", p.fail(int32(start), StringTooLong)
	}
	return text, nil
}

func (p *parser) items(kind Kind, depth int) (v Value, err error) {
	if depth > p.limits.Depth {
		return v, p.fail(p.next(), TooDeep)
	}
	if _, err = p.decoder.ReadToken(); err != nil {
		return v, syntaxError(p.data, err)
	}
	v = Value{Kind: kind, Start: int32(p.decoder.InputOffset()) - 1}
	first := len(p.open)
	for next := p.decoder.PeekKind(); next != '}' && next != ']'; next = p.decoder.PeekKind() {
		var name string
		if kind == Object {
			if name, err = p.name(len(p.open) - first); err != nil {
				return v, err
			}
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		item.Name = name
		p.open = append(p.open, item)
	}
	if _, err = p.decoder.ReadToken(); err != nil {
		return v, syntaxError(p.data, err)
	}
	v.End = int32(p.decoder.InputOffset())
	v.Items = p.keep(p.open[first:])
	p.open = p.open[:first]
	return v, nil
}

func (p *parser) name(before int) (string, error) {
	raw, err := p.decoder.ReadValue()
	if err != nil {
		return "", syntaxError(p.data, err)
	}
	start := int32(p.decoder.InputOffset()) - int32(len(raw))
	name, err := p.string(raw)
	switch {
	case err != nil:
		return "", err
	case before >= p.limits.Members:
		return "", p.fail(start, TooManyMembers)
	case p.used.collides(name):
		return "", p.fail(start, CaseCollision)
	}
	return name, nil
}

// keep copies items out of open, which goes on changing.
func (p *parser) keep(items []Value) []Value {
	n := len(items)
	if n == 0 {
		return nil
	}
	if n > len(p.spare) {
		const fewest, most = 16, 1024
		p.spare = make([]Value, max(n, min(most, max(fewest, p.values))))
	}
	kept := p.spare[:n:n]
	p.spare = p.spare[n:]
	copy(kept, items)
	return kept
}

// checkNumber holds a number, whose grammar is checked, to the limits.
func (p *parser) checkNumber(text string, start int32) error {
	digits, exponent, inExponent := 0, 0, false
	for _, c := range []byte(text) {
		switch {
		case c == 'e' || c == 'E':
			inExponent = true
		case c < '0' || '9' < c: // a sign or the point
		default:
			digits++
			if inExponent {
				exponent = min(exponent*10+int(c-'0'), p.limits.Exponent+1)
			}
		}
	}
	switch {
	case digits > p.limits.Digits:
		return p.fail(start, NumberTooLong)
	case exponent > p.limits.Exponent:
		return p.fail(start, ExponentTooHigh)
	}
	return nil
}

// next is where the array or object starts that comes next.
func (p *parser) next() int32 {
	offset := int(p.decoder.InputOffset())
	return int32(offset + bytes.IndexAny(p.data[offset:], "[{"))
}

// fail is a problem with what was just read, or comes next, and starts there.
func (p *parser) fail(start int32, problem Problem) error {
	return problemAt(int(start), p.decoder.StackPointer(), problem)
}
