package jsonx

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// FuzzParse holds what is read against encoding/json, and positions, writing
// and patching against the input.
func FuzzParse(f *testing.F) {
	for _, test := range hostile {
		if len(test.input) < 1<<10 {
			f.Add([]byte(test.input))
		}
	}
	f.Add([]byte(` {"a":[1.50,-0,1E+2,"\u00e9\ud83d\ude00\\/"],"b":{"":null}, "t":[true,false]} `))
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := Parse(data, Options{})
		if err != nil {
			checkRefusal(t, data, err)
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		checkSame(t, root, want)
		checkPositions(t, data, root)
		again, err := Parse(Append(nil, root), Options{})
		if err != nil || !Equal(root, again) {
			t.Fatalf("written and read again: %v, %v", again, err)
		}
	})
}

// checkRefusal checks that what is called no JSON is none for others either.
func checkRefusal(t *testing.T, data []byte, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Offset < 0 || e.Offset > int64(len(data)) {
		t.Fatalf("error: %v", err)
	}
	switch e.Problem {
	case Empty, Cut, Syntax, TrailingData, InvalidEscape:
		if json.Valid(data) {
			t.Fatalf("encoding/json reads it: %v", err)
		}
	}
}

func checkSame(t *testing.T, v *Value, want any) {
	t.Helper()
	same := false
	switch want := want.(type) {
	case nil:
		same = v.Kind == Null
	case bool:
		same = v.Kind == True && want || v.Kind == False && !want
	case json.Number:
		same = v.Kind == Number && v.Text == want.String()
	case string:
		same = v.Kind == String && v.Text == want
	case []any:
		same = v.Kind == Array && len(v.Items) == len(want)
		for i := range min(len(v.Items), len(want)) {
			checkSame(t, &v.Items[i], want[i])
		}
	case map[string]any:
		same = v.Kind == Object && len(v.Items) == len(want)
		for name, value := range want {
			if member := v.Get(name); member == nil {
				same = false
			} else {
				checkSame(t, member, value)
			}
		}
	}
	if !same {
		t.Fatalf("%s: encoding/json reads %#v", Append(nil, v), want)
	}
}

// checkPositions reads every value again from its place, and puts every value
// into its own place.
func checkPositions(t *testing.T, data []byte, root *Value) {
	t.Helper()
	var walk func(v *Value, way Pointer)
	walk = func(v *Value, way Pointer) {
		source := data[v.Start:v.End]
		again, err := Parse(source, Options{})
		if err != nil || !Equal(v, again) {
			t.Fatalf("%q: the source %q is read as %v, %v", way, source, again, err)
		}
		patch := NewPatch(data, root)
		if err := patch.Set(way, source); err != nil || !bytes.Equal(patch.Bytes(), data) {
			t.Fatalf("%q: set to what it is: %v, %s", way, err, patch.Bytes())
		}
		p, err := ParsePointer(way.String())
		if err != nil || root.At(p) == nil || !Equal(root.At(p), v) {
			t.Fatalf("%q leads to %v, %v", way, root.At(p), err)
		}
		for i := range v.Items {
			walk(&v.Items[i], append(way[:len(way):len(way)], token(v, i)))
		}
	}
	if len(data) < 1<<10 { // it reads as many times as there are values
		walk(root, nil)
	}
}
