package payload

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/jsonx"
)

func compiled(t testing.TB, source string) *schema {
	t.Helper()
	s, err := tryCompile(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return s
}

func tryCompile(source string) (*schema, error) {
	all, errs := newSchemas([]File{{Path: "s.json", Data: []byte(source)}})
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return all.compile("s.json")
}

func parsed(t testing.TB, doc string) *jsonx.Value {
	t.Helper()
	v, err := jsonx.Parse([]byte(doc), jsonx.Options{})
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return v
}

// TestShape: what a shape accepts, what it leaves to the validator though it is
// valid, and what is not valid.
func TestShape(t *testing.T) {
	for _, test := range []struct {
		schema               string
		accepts, left, wrong []string
	}{
		{`true`, []string{`null`, `[{}]`}, nil, nil},
		{`false`, nil, nil, []string{`null`}},
		{`{"type": "integer"}`, []string{`1`, `-0`, `1.0`, `123456789012345678901234567890`}, []string{`1e2`, `1.0000000`}, []string{`1.5`, `1e-2`, `"1"`, `null`}},
		{`{"type": ["number", "null"]}`, []string{`1`, `1.5e3`, `null`}, nil, []string{`"1"`, `true`, `[]`}},
		{`{"type": ["integer", "number"]}`, []string{`1.5`}, nil, []string{`false`}},
		{`{"type": "boolean"}`, []string{`true`, `false`}, nil, []string{`0`}},
		{`{"enum": ["EUR", 1, null, true, [1]]}`, []string{`"EUR"`, `1`, `null`, `true`}, []string{`1.0`, `[1]`}, []string{`"eur"`, `"1"`, `false`, `[]`, `{}`}},
		{`{"const": 12.50}`, []string{`12.50`}, []string{`12.5`, `1250e-2`}, []string{`12.51`, `"12.50"`}},
		{`{"const": {"a": 1}}`, nil, []string{`{"a":1}`}, []string{`{}`, `null`}},
		{`{"minimum": 0, "maximum": 9007199254740991}`, []string{`0`, `-0`, `0.000001`, `999999999999.999999`}, []string{`1000000000000`, `0.0000001`, `9007199254740991`}, []string{`-0.000001`, `-1`, `9007199254740992`}},
		{`{"exclusiveMinimum": 0, "exclusiveMaximum": 0.5}`, []string{`0.000001`, `0.499999`, `"-1"`}, []string{`1e-9`, `0.4999999`}, []string{`0`, `-0.0`, `0.5`, `0.500000`, `5e-1`}},
		{`{"exclusiveMinimum": -1e30, "maximum": -1e-6}`, []string{`-0.000001`, `-999999999999`}, []string{`-1e12`}, []string{`0`, `-1e30`}},
		{`{"minimum": 1e12}`, nil, []string{`1000000000000`}, []string{`999999999999.999999`}},
		{`{"exclusiveMaximum": -1e12}`, nil, []string{`-1000000000000.1`}, []string{`-999999999999.999999`, `-1000000000000`}},
		{`{"multipleOf": 0.01}`, []string{`0`, `12.50`, `-3.1`}, []string{`125e-1`}, []string{`0.001`, `1.005`}},
		{`{"minLength": 2, "maxLength": 3, "pattern": "^[a-zü]+$"}`, []string{`"üü"`, `"abc"`, `1`}, nil, []string{`"ü"`, `"abcd"`, `"AB"`, `"💶💶💶💶"`}},
		{`{"format": "date"}`, []string{`"2026-11-02"`, `1`, `[]`}, nil, []string{`"2026-13-02"`}},
		{`{"items": {"type": "string"}, "minItems": 1, "maxItems": 2}`, []string{`["a"]`, `"x"`}, nil, []string{`[]`, `[1]`, `["a","b","c"]`, `["a",null]`}},
		{`{"properties": {"a": {"type": "string"}}, "required": ["a", "b"], "additionalProperties": false}`, nil, nil, []string{`{"a":"x"}`, `{"a":"x","b":1}`}},
		{`{"properties": {"a": {"type": "string"}, "b": true}, "required": ["b"], "additionalProperties": false}`, []string{`{"a":"x","b":1}`, `{"b":null}`, `[]`}, nil, []string{`{"a":"x"}`, `{"a":1,"b":1}`, `{"b":1,"c":1}`}},
		{`{"required": ["a"], "additionalProperties": {"type": "integer"}, "minProperties": 2, "maxProperties": 3}`, []string{`{"a":1,"b":2}`}, nil, []string{`{"a":1}`, `{"a":"1","b":2}`, `{"b":1,"c":1}`, `{"a":1,"b":1,"c":1,"d":1}`}},
		{`{"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 5}], "allOf": [{"enum": ["a", 5, 4]}]}`, []string{`"a"`, `5`}, nil, []string{`4`, `"b"`, `null`}},
		{`{"$defs": {"tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}, "v": {"type": "integer"}}, "required": ["v"]}}, "$ref": "#/$defs/tree", "maxProperties": 2}`, []string{`{"v":1}`, `{"v":1,"left":{"v":2,"left":{"v":3}}}`}, nil, []string{`{"v":1,"left":{"v":2,"left":{}}}`, `{"v":1,"w":1,"x":1}`}},
	} {
		s := compiled(t, test.schema)
		if s.shape == nil {
			t.Errorf("%s has no shape", test.schema)
			continue
		}
		for _, list := range []struct {
			docs           []string
			accepted, well bool
		}{{test.accepts, true, true}, {test.left, false, true}, {test.wrong, false, false}} {
			for _, doc := range list.docs {
				v := parsed(t, doc)
				if accepted := s.shape.accepts(v); accepted != list.accepted {
					t.Errorf("%s, %s: accepted is %t", test.schema, doc, accepted)
				}
				if err := s.validator.Validate(schemaValue(v)); (err == nil) != list.well {
					t.Errorf("%s, %s: %v", test.schema, doc, err)
				}
			}
		}
	}
}

// TestNoShape: a keyword that shapes do not have leaves the whole schema to the
// validator, and so does a circle.
func TestNoShape(t *testing.T) {
	for _, keyword := range []string{
		`"not": false`, `"oneOf": [true]`, `"if": true, "then": true`, `"dependentRequired": {"a": ["b"]}`, `"dependentSchemas": {"a": true}`,
		`"propertyNames": true`, `"patternProperties": {"a": true}`, `"unevaluatedProperties": false`, `"dependencies": {"a": ["b"]}`,
		`"contains": true`, `"uniqueItems": true`, `"prefixItems": [true]`, `"unevaluatedItems": false`, `"$dynamicRef": "#"`,
		`"minimum": 0.0000001`, `"multipleOf": 1e-7`, `"multipleOf": 1e30`,
		`"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [true, {"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"`,
		`"allOf": [{"$ref": "#"}]`, `"$defs": {"old": {"$id": "old", "$schema": "http://json-schema.org/draft-07/schema#"}}, "$ref": "old"`,
	} {
		for _, source := range []string{`{` + keyword + `}`, `{"properties": {"deep": {"items": {"$id": "inner.json", ` + keyword + `}}}}`} {
			if s := compiled(t, source); s.shape != nil {
				t.Errorf("%s has a shape", source)
			}
		}
	}
	if set := load(t, benched, File{Path: "payment.json", Data: []byte(benchedSchema)}); !set.contracts[0].schema.shape.accepts(parsed(t, string(paymentOf(1000)))) {
		t.Error("the usual payment is left to the validator")
	}
}

// written makes schemas and documents that often fit each other: few names, few
// values.
type written struct{ *rand.Rand }

func (w written) one(of ...string) string { return of[w.IntN(len(of))] }

func (w written) number() string {
	return w.one("0", "-0", "1", "2", "-1", "1.0", "0.5", "1.50", "1e0", "-0.000001", "1e-7", "999999999999.999999", "1000000000000", "9007199254740993", "1e30")
}

func (w written) scalar() string {
	return w.one("null", "true", "false", `"a"`, `"EUR"`, `"ü"`, `"2026-11-02"`, `""`, w.number(), w.number())
}

func (w written) document(depth int) string {
	var items []string
	switch n := w.IntN(4); {
	case depth == 0 || n < 2:
		return w.scalar()
	case n == 2:
		for range w.IntN(4) {
			items = append(items, w.document(depth-1))
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	for _, name := range []string{"a", "b", "c"} {
		if w.IntN(2) == 0 {
			items = append(items, fmt.Sprintf("%q: %s", name, w.document(depth-1)))
		}
	}
	return "{" + strings.Join(items, ",") + "}"
}

func (w written) schema(depth int) string {
	if depth == 0 {
		return w.one("true", "true", "true", "{}", "false")
	}
	inner := func() string { return w.schema(depth - 1) }
	var keywords []string
	for range 1 + w.IntN(3) {
		keywords = append(keywords, w.one(
			`"type": `+w.one(`"string"`, `"integer"`, `"number"`, `"object"`, `"array"`, `["null", "integer"]`, `["boolean", "object", "array"]`),
			`"enum": [`+w.scalar()+`, `+w.scalar()+`, [], `+w.scalar()+`]`, `"const": `+w.document(1),
			`"minimum": `+w.number(), `"maximum": `+w.number(), `"exclusiveMinimum": `+w.number(), `"exclusiveMaximum": `+w.number(),
			`"multipleOf": `+w.one("1", "0.01", "2", "0.3"), `"minLength": 1`, `"maxLength": 1`, `"pattern": "^[A-Z]"`, `"format": "date"`,
			`"items": `+inner(), `"minItems": 1`, `"maxItems": 2`, `"minProperties": 1`, `"maxProperties": 2`,
			`"required": [`+w.one(`"a"`, `"a", "b"`, `"c"`)+`]`, `"additionalProperties": `+inner(),
			`"properties": {"a": `+inner()+`, "b": `+inner()+`}`, `"properties": {"c": `+inner()+`}`,
			`"anyOf": [`+inner()+`, `+inner()+`]`, `"allOf": [`+inner()+`, `+inner()+`]`, `"$ref": "#/$defs/d"`,
		))
	}
	seen := make(map[string]bool)
	kept := keywords[:0]
	for _, k := range keywords {
		if name, _, _ := strings.Cut(k, ":"); !seen[name] {
			seen[name] = true
			kept = append(kept, k)
		}
	}
	return "{" + strings.Join(kept, ", ") + "}"
}

// TestShapesAndTheValidatorAgree on random schemas and documents: what a shape
// accepts is valid, and most of what is valid is accepted.
func TestShapesAndTheValidatorAgree(t *testing.T) {
	seed := rand.Uint64()
	w := written{rand.New(rand.NewPCG(seed, 5))}
	valid, accepted, shaped := 0, 0, 0
	for range 200 {
		source := strings.TrimSuffix(w.schema(3), "}") + `, "$defs": {"d": ` + w.schema(1) + `}}`
		s, err := tryCompile(source)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if s.shape == nil {
			continue
		}
		shaped++
		for range 40 {
			v := parsed(t, w.document(3))
			accepts := s.shape.accepts(v)
			err := s.validator.Validate(schemaValue(v))
			switch {
			case err == nil:
				valid++
				if accepts {
					accepted++
				}
			case accepts:
				t.Fatalf("seed %d: %s accepts %s: %v", seed, source, jsonx.Append(nil, v), err)
			}
		}
	}
	t.Logf("%d schemas with shapes; of %d valid documents they accept %d", shaped, valid, accepted)
	if shaped < 100 || valid < 1000 || accepted < valid*8/10 {
		t.Error("too few to tell")
	}
}

// FuzzShape: what a shape accepts is valid, whatever the schema.
func FuzzShape(f *testing.F) {
	f.Add(benchedSchema, string(paymentOf(200)))
	f.Add(`{"$defs": {"n": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/n2"}]}, "n2": {"multipleOf": 0.01, "minimum": 0, "exclusiveMaximum": 1e3}}, "items": {"$ref": "#/$defs/n"}}`, `[null, 12.50, -0]`)
	f.Add(`{"type": ["object", "integer"], "additionalProperties": {"enum": [1, null, "x"]}, "required": ["a"], "minProperties": 1}`, `{"a": 1, "b": "x"}`)
	f.Add(`{"const": "ü", "maxLength": 1, "pattern": "."}`, `"ü"`)
	f.Fuzz(func(t *testing.T, source, doc string) {
		v, err := jsonx.Parse([]byte(doc), jsonx.Options{Limits: jsonx.Limits{Exponent: 1000}})
		if err != nil {
			return
		}
		s, err := tryCompile(source)
		if err != nil || s.shape == nil || !s.shape.accepts(v) {
			return
		}
		if err := s.validator.Validate(schemaValue(v)); err != nil {
			t.Errorf("%s accepts %s: %v", source, doc, err)
		}
	})
}
