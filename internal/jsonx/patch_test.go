package jsonx

import (
	"strings"
	"testing"
)

func TestPatch(t *testing.T) {
	type set struct{ at, text string }
	tests := map[string]struct {
		input string
		sets  []set
		want  string // or part of the error's text
		fails bool
	}{
		"nothing":                   {input: " [1, 2] ", want: " [1, 2] "},
		"one value, all else stays": {input: `{ "a" : 1.0 , "b":"\u0041"}`, sets: []set{{"/a", `2`}}, want: `{ "a" : 2 , "b":"\u0041"}`},
		"in any order":              {input: `[1,2,3]`, sets: []set{{"/2", `"c"`}, {"/0", `"a"`}}, want: `["a",2,"c"]`},
		"the root":                  {input: " 1\n", sets: []set{{"", `{}`}}, want: " {}\n"},
		"a new member":              {input: `{"a":1 }`, sets: []set{{"/b", `2`}}, want: `{"a":1,"b":2 }`},
		"new members":               {input: `{"a":1}`, sets: []set{{"/b", `2`}, {"/c/~1", ``}}, fails: true, want: `there is no "/c" to put it into`},
		"two new members":           {input: `{"a":1}`, sets: []set{{"/b", `2`}, {"/c", `3`}}, want: `{"a":1,"b":2,"c":3}`},
		"into an empty object":      {input: `{ }`, sets: []set{{"/a", `1`}, {"/\"", `2`}}, want: `{"a":1,"\"":2 }`},
		"behind one that changes":   {input: `{"a":1}`, sets: []set{{"/b", `2`}, {"/a", `0`}}, want: `{"a":0,"b":2}`},
		"twice":                     {input: `{"a":1}`, sets: []set{{"/a", `2`}, {"/a", `3`}}, fails: true, want: "overlaps"},
		"a new member twice":        {input: `{"a":1}`, sets: []set{{"/b", `2`}, {"/b", `3`}}, fails: true, want: "overlaps"},
		"inside what changes":       {input: `{"a":{"b":1}}`, sets: []set{{"/a", `2`}, {"/a/b", `3`}}, fails: true, want: "overlaps"},
		"into what changes":         {input: `{"a":{}}`, sets: []set{{"/a/b", `3`}, {"/a", `2`}}, fails: true, want: "overlaps"},
		"into an array":             {input: `[1]`, sets: []set{{"/1", `2`}}, fails: true, want: `"" is of type array, not an object`},
		"inside a string":           {input: `{"a":"x"}`, sets: []set{{"/a/b", `2`}}, fails: true, want: `"/a" is of type string, not an object`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root, err := Parse([]byte(test.input), Options{})
			if err != nil {
				t.Fatal(err)
			}
			patch := NewPatch([]byte(test.input), root)
			for _, s := range test.sets {
				at, parseErr := ParsePointer(s.at)
				if parseErr != nil {
					t.Fatal(parseErr)
				}
				if err = patch.Set(at, []byte(s.text)); err != nil {
					break
				}
			}
			switch got := string(patch.Bytes()); {
			case test.fails && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error: %v; want %q in it", err, test.want)
			case !test.fails && err != nil:
				t.Error(err)
			case !test.fails && got != test.want:
				t.Errorf("%s; want %s", got, test.want)
			}
		})
	}
}
