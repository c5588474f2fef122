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
	const most = 256
	p := parser{
		decoder: jsontext.NewDecoder(bytes.NewBuffer(data)),
		data:    data, text: string(data),
		limits: limits, used: o.Used,
		open: make([]Value, 1, min(most, 1+len(data)/16)),
	}
	if err := p.value(0, 1); err != nil {
		return nil, err
	}
	root := p.open[0]
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
	open   []Value // the root, and items of the arrays and objects that are not closed yet
	spare  []Value // where the items of closed ones go
	buffer []byte
}

// value reads the next value into open[at]; depth is what it has if it is an
// array or an object.
func (p *parser) value(at, depth int) error {
	if p.values++; p.values > p.limits.Values {
		return p.fail(int32(p.decoder.InputOffset()), TooManyValues)
	}
	switch p.decoder.PeekKind() {
	case '{':
		return p.items(at, Object, depth)
	case '[':
		return p.items(at, Array, depth)
	}
	return p.scalar(&p.open[at])
}

func (p *parser) scalar(v *Value) error {
	raw, err := p.decoder.ReadValue()
	if err != nil {
		return syntaxError(p.data, err)
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
		return p.checkNumber(v.Text, v.Start)
	default:
		v.Kind = String
		v.Text, err = p.string(raw)
	}
	return err
}

// string decodes the literal that was just read.
func (p *parser) string(raw []byte) (string, error) {
	end := int(p.decoder.InputOffset())
	start := end - len(raw)
	text := p.text[start+1 : end-1]
	if strings.IndexByte(text, '\\') >= 0 {
		decoded, err := jsontext.AppendUnquote(p.buffer[:0], raw)
		if err != nil {
			return "", syntaxError(p.data, err)
		}
		p.buffer, text = decoded, string(decoded)
	}
	if len(text) > p.limits.String {
		return "", p.fail(int32(start), StringTooLong)
	}
	return text, nil
}

func (p *parser) items(at int, kind Kind, depth int) error {
	if depth > p.limits.Depth {
		return p.fail(p.next(), TooDeep)
	}
	if _, err := p.decoder.ReadToken(); err != nil {
		return syntaxError(p.data, err)
	}
	start := int32(p.decoder.InputOffset()) - 1
	first := len(p.open)
	for next := p.decoder.PeekKind(); next != '}' && next != ']'; next = p.decoder.PeekKind() {
		var name string
		if kind == Object {
			var err error
			if name, err = p.name(len(p.open) - first); err != nil {
				return err
			}
		}
		item := len(p.open)
		p.open = append(p.open, Value{Name: name})
		if err := p.value(item, depth+1); err != nil {
			return err
		}
	}
	if _, err := p.decoder.ReadToken(); err != nil {
		return syntaxError(p.data, err)
	}
	v := &p.open[at]
	v.Kind, v.Start, v.End = kind, start, int32(p.decoder.InputOffset())
	v.Items = p.keep(p.open[first:])
	p.open = p.open[:first]
	return nil
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
