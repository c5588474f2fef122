package receipts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

// maxDepth is how deep a record or document may nest; only ext comes near.
const maxDepth = 64

// decodeCanonical checks the form alone: an object of JSON as RFC 8785 writes it.
func decodeCanonical(data []byte) (map[string]any, error) {
	switch {
	case !utf8.Valid(data):
		return nil, &SyntaxError{errors.New("not UTF-8")}
	case tooDeep(data, maxDepth):
		return nil, &SyntaxError{fmt.Errorf("it nests deeper than %d levels", maxDepth)}
	case len(data) == 0:
		return nil, &SyntaxError{errors.New("an empty line")}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var document any
	if err := d.Decode(&document); err != nil {
		return nil, &SyntaxError{err}
	}
	again, err := jcs.Transform(data) // which also finds a name that stands twice
	if err != nil {
		return nil, &SyntaxError{err}
	}
	if !bytes.Equal(again, data) {
		return nil, &CanonicalError{Offset: commonPrefix(again, data)}
	}
	members, ok := document.(map[string]any)
	if !ok {
		return nil, &SyntaxError{errors.New("not an object")}
	}
	return members, nil
}

// tooDeep counts brackets outside of strings, whatever else is wrong, before
// anything recurses.
func tooDeep(data []byte, most int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// decodeClosed decodes what has the schema that the type of into, a pointer to a
// struct, gives.
func decodeClosed(data []byte, members map[string]any, into any) error {
	if err := checkObject("", members, reflect.TypeOf(into).Elem()); err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return &SyntaxError{err} // the schema let pass what the type cannot hold
	}
	return nil
}

// member is one of a struct's in JSON.
type member struct {
	of       reflect.Type
	optional bool // absent where it does not apply, so never empty
}

func membersOf(t reflect.Type) map[string]member {
	all := make(map[string]member)
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			for name, m := range membersOf(embedded) {
				if _, shadowed := all[name]; !shadowed {
					all[name] = m
				}
			}
			continue
		}
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		all[name] = member{of: f.Type, optional: option != ""}
	}
	return all
}

// checkObject reports the first member, in canonical order, that is unknown or
// has the wrong kind of value, or else one that is missing.
func checkObject(path string, members map[string]any, t reflect.Type) error {
	known := membersOf(t)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		m, ok := known[name]
		if !ok {
			return &UnknownMemberError{Member: path + name}
		}
		if m.optional && isEmpty(members[name]) {
			return &FieldError{path + name, "empty; a member that does not apply is absent"}
		}
		if err := checkValue(path+name, members[name], m); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if _, ok := members[name]; !ok && !known[name].optional {
			return &FieldError{path + name, "missing"}
		}
	}
	return nil
}

// isEmpty tells what omitempty leaves out, but for a number, whose pointer
// tells 0 from absent.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	}
	return false
}

func checkValue(path string, v any, m member) error {
	t := m.of
	if t.Kind() == reflect.Pointer {
		if v == nil && !m.optional {
			return nil
		}
		t = t.Elem()
	} else if n, ok := v.(json.Number); ok && m.optional && n == "0" {
		return &FieldError{path, "0; a member that does not apply is absent"}
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return checkTimeText(path, v)
	case reflect.TypeFor[json.RawMessage]():
		if _, ok := v.(map[string]any); !ok {
			return &FieldError{path, "not an object"}
		}
		return nil
	}
	ok := false
	switch t.Kind() {
	case reflect.String:
		_, ok = v.(string)
	case reflect.Bool:
		_, ok = v.(bool)
	case reflect.Int64:
		return checkInteger(path, v)
	case reflect.Struct:
		if members, is := v.(map[string]any); is {
			return checkObject(path+".", members, t)
		}
	case reflect.Slice:
		list, is := v.([]any)
		for i := range list {
			if err := checkValue(path, list[i], member{of: t.Elem()}); err != nil {
				return err
			}
		}
		ok = is
	}
	if !ok {
		return &FieldError{path, fmt.Sprintf("a %s cannot be its value", kindOf(v))}
	}
	return nil
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case []any:
		return "list"
	}
	return "object"
}

func checkInteger(path string, v any) error {
	number, ok := v.(json.Number)
	if !ok {
		return &FieldError{path, fmt.Sprintf("a %s cannot be its value", kindOf(v))}
	}
	if n, err := number.Int64(); err != nil || n > maxInt || n < -maxInt {
		return &FieldError{path, fmt.Sprintf("%.40s is no integer within 2^53", number)}
	}
	return nil
}

func checkTimeText(path string, v any) error {
	text, ok := v.(string)
	if !ok {
		return &FieldError{path, fmt.Sprintf("a %s cannot be its value", kindOf(v))}
	}
	if t, err := time.Parse(timeLayout, text); err != nil || t.Format(timeLayout) != text {
		return &FieldError{path, fmt.Sprintf("%.64q is not a time as 2006-01-02T15:04:05.000Z", text)}
	}
	return nil
}

// commonPrefix is the length of what a and b begin with alike.
func commonPrefix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
