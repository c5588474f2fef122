package jsonx

import (
	"slices"
	"testing"
)

// TestPointersOfTheRFC takes the document and the pointers of RFC 6901, section 5.
func TestPointersOfTheRFC(t *testing.T) {
	root, err := Parse([]byte(`{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range [][2]string{
		{"/foo", `["bar","baz"]`},
		{"/foo/0", `"bar"`},
		{"/", "0"},
		{"/a~1b", "1"},
		{"/c%d", "2"},
		{"/e^f", "3"},
		{"/g|h", "4"},
		{"/i\\j", "5"},
		{"/k\"l", "6"},
		{"/ ", "7"},
		{"/m~0n", "8"},
	} {
		s, want := test[0], test[1]
		p, err := ParsePointer(s)
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		if p.String() != s {
			t.Errorf("%q is written %q", s, p)
		}
		if v := root.At(p); v == nil || string(Append(nil, v)) != want {
			t.Errorf("%q leads to %v; want %s", s, v, want)
		}
	}
	for _, s := range []string{"/foo/2", "/foo/00", "/foo/-", "/foo/-1", "/foo/+1", "/foo/", "/foo/0/x", "/bar", "/foo/99999999999999999999"} {
		p, err := ParsePointer(s)
		if err != nil {
			t.Errorf("%q: %v", s, err)
		}
		if v := root.At(p); v != nil {
			t.Errorf("%q leads to %v", s, v)
		}
	}
	for _, s := range []string{"foo", "/a~", "/a~2b", "#/foo"} {
		if p, err := ParsePointer(s); err == nil {
			t.Errorf("%q is read as %q", s, p)
		}
	}
	if p, err := ParsePointer("/~01"); err != nil || !slices.Equal(p, Pointer{"~1"}) {
		t.Errorf("/~01 is %q, %v", p, err)
	}
}

func TestPatterns(t *testing.T) {
	root, err := Parse([]byte(`{"m":[{"c":[{"f":"1"},{"g":"2"},{"f":"3"}]},{"c":{"x":{"f":"4"}}},5]}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string][]string{
		"/m/*/c/*/f": {"/m/0/c/0/f", "/m/0/c/2/f", "/m/1/c/x/f"},
		"/m/0/c/1/g": {"/m/0/c/1/g"},
		"/m/*":       {"/m/0", "/m/1", "/m/2"},
		"/*":         {"/m"},
		"":           {""},
		"/m/*/z":     nil,
	} {
		pattern, err := ParsePattern(s)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range root.Match(pattern) {
			got = append(got, m.Pointer.String())
			if root.At(m.Pointer) != m.Value {
				t.Errorf("%s: %s does not lead back", s, m.Pointer)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q; want %q", s, got, want)
		}
	}
}
