package jsonx

import (
	"errors"
	"strings"
	"testing"
)

// hostile are documents that two readers could take for two things, or that
// cost too much, and where the reader stops.
var hostile = []struct {
	name, input string
	offset      int64
	pointer     string
	problem     Problem
}{
	{"nothing", "", 0, "", Empty},
	{"white space alone", " \n\t", 3, "", Empty},
	{"a comment alone", "// {}", 0, "", Syntax},
	{"no JSON", "hello", 0, "", Syntax},
	{"duplicate name", `{"a":1,"b":{"a":2},"a":3}`, 19, "/a", DuplicateName},
	{"duplicate name, escaped", `{"x":{"amount":1,"\u0061mount":2}}`, 17, "/x/amount", DuplicateName},
	{"duplicate empty name", `{"":1,"":2}`, 6, "/", DuplicateName},
	{"other case than a used name", `{"amount":1,"Amount":2}`, 12, "/Amount", CaseCollision},
	{"other case alone", `[{"AMOUNT":1}]`, 2, "/0/AMOUNT", CaseCollision},
	{"other case, escaped", `{"\u0041mount":1}`, 1, "/Amount", CaseCollision},
	{"Kelvin sign for k", "{\"to\u212Aen\":1}", 1, "/to\u212Aen", CaseCollision},
	{"long s for s", "{\"\u017Fum\":1}", 1, "/\u017Fum", CaseCollision},
	{"bad UTF-8 in a string", "{\"a\":\"x\xff\"}", 7, "/a", InvalidUTF8},
	{"bad UTF-8 in a name", "{\"\xc0\xaf\":1}", 2, "", InvalidUTF8},
	{"a surrogate as UTF-8", "\"\xed\xa0\x80\"", 1, "", InvalidUTF8},
	{"bad UTF-8 outside strings", "[\xff]", 1, "/0", InvalidUTF8},
	{"first half of a pair alone", `["\ud83d"]`, 2, "/0", LoneSurrogate},
	{"second half of a pair alone", `["\udE00"]`, 2, "/0", LoneSurrogate},
	{"pair the wrong way round", `["\ude00\ud83d"]`, 2, "/0", LoneSurrogate},
	{"unknown escape", `["\x41"]`, 2, "/0", InvalidEscape},
	{"byte order mark", "\xef\xbb\xbf{}", 0, "", ByteOrderMark},
	{"byte order mark, UTF-16", "\xff\xfe{\x00}\x00", 0, "", ByteOrderMark},
	{"another value behind", `{} {}`, 3, "", TrailingData},
	{"a bracket behind", `[1]]`, 3, "", TrailingData},
	{"a null byte behind", "1\x00", 1, "", TrailingData},
	{"NaN", `{"a":NaN}`, 5, "/a", Syntax},
	{"Infinity", `[-Infinity]`, 2, "/0", Syntax},
	{"leading zero", `[007]`, 2, "", Syntax},
	{"leading plus", `[+1]`, 1, "/0", Syntax},
	{"no digit before the point", `[.5]`, 1, "/0", Syntax},
	{"hexadecimal", `[0x1F]`, 2, "", Syntax},
	{"a comment", `{"a":/* 2 */1}`, 5, "/a", Syntax},
	{"trailing comma", `[1,]`, 2, "", Syntax},
	{"single quotes", `{'a':1}`, 1, "", Syntax},
	{"a control character", "[\"a\nb\"]", 3, "/0", Syntax},
	{"cut", `{"amount":10`, 12, "", Cut},
	{"cut in a string", `["abc`, 5, "/0", Cut},
	{"too deep", strings.Repeat("[", 65) + strings.Repeat("]", 65), 64, strings.Repeat("/0", 63), TooDeep},
	{"1 MiB of [", strings.Repeat("[", 1<<20), 64, strings.Repeat("/0", 63), TooDeep},
	{"1 MiB of objects", strings.Repeat(`{"a":`, 1<<18), 320, strings.Repeat("/a", 64), TooDeep},
	{"digits", "[" + strings.Repeat("9", 101) + "]", 1, "/0", NumberTooLong},
	{"digits behind the point", `{"n":0.` + strings.Repeat("1", 100) + "}", 5, "/n", NumberTooLong},
	{"an exponent of 100 digits", "1e" + strings.Repeat("9", 100), 0, "", NumberTooLong},
	{"an exponent of 99 digits", "1e" + strings.Repeat("9", 99), 0, "", ExponentTooHigh},
	{"exponent", "[1,1e401]", 3, "/1", ExponentTooHigh},
	{"exponent, down", "1E-401", 0, "", ExponentTooHigh},
	{"string", `{"a":"` + strings.Repeat("x", 1<<20+1) + `"}`, 5, "/a", StringTooLong},
	{"name", `{"` + strings.Repeat("x", 1<<20+1) + `":1}`, 1, "/" + strings.Repeat("x", 255) + "…", StringTooLong},
	{"bytes", strings.Repeat(" ", 10_000_001), 10_000_000, "", TooManyBytes},
	{"values", "[" + strings.Repeat("0,", 250_000) + "0]", 499_998, "/249998", TooManyValues},
}

var usedNames = NewNames("amount", "token", "sum")

func TestHostileDocuments(t *testing.T) {
	for _, test := range hostile {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(test.input), Options{Used: usedNames})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error: %v; want an *Error", err)
			}
			if want := (Error{test.offset, test.pointer, test.problem}); *e != want {
				t.Errorf("error: %+v; want %+v", *e, want)
			}
		})
	}
}

func TestMembersAreBounded(t *testing.T) {
	object := func(n int) []byte {
		v := Value{Kind: Object}
		for i := range n {
			v.Items = append(v.Items, Value{Kind: Null, Name: strings.Repeat("n", i/100) + string(rune('0'+i%100))})
		}
		return Append(nil, &v)
	}
	if _, err := Parse(object(10_000), Options{}); err != nil {
		t.Errorf("10,000 members: %v", err)
	}
	var e *Error
	if _, err := Parse(object(10_001), Options{}); !errors.As(err, &e) || e.Problem != TooManyMembers {
		t.Errorf("10,001 members: %v", err)
	}
}

func TestLimitsHaveMaxima(t *testing.T) {
	if got := (Limits{}).effective(); got != DefaultLimits() {
		t.Errorf("limits that are not set: %+v", got)
	}
	const huge = 1 << 40
	if got := (Limits{huge, huge, huge, huge, huge, huge, huge}).effective(); got != MaxLimits() {
		t.Errorf("limits that are set too high: %+v", got)
	}
	if _, err := Parse([]byte(`[[1]]`), Options{Limits: Limits{Depth: 1}}); err == nil {
		t.Error("depth 2 is read with limit 1")
	}
	if _, err := Parse([]byte(`12`), Options{Limits: Limits{Digits: 1}}); err == nil {
		t.Error("two digits are read with limit 1")
	}
}

func TestDocument(t *testing.T) {
	const input = " {\"id\" : \"A\\u00e9\\n\", \"n\":[1.50, -0,1E+2] ,\"t\":true,\"f\":false,\"z\":null,\"e\":{}, \"\\/\":[]}\n"
	root, err := Parse([]byte(input), Options{Used: NewNames("id", "ID", "Amount")})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		pointer string
		kind    Kind
		text    string
		source  string
	}{
		{"", Object, "", strings.TrimSpace(input)},
		{"/id", String, "Aé\n", `"A\u00e9\n"`},
		{"/n", Array, "", `[1.50, -0,1E+2]`},
		{"/n/0", Number, "1.50", `1.50`},
		{"/n/1", Number, "-0", `-0`},
		{"/n/2", Number, "1E+2", `1E+2`},
		{"/t", True, "", `true`},
		{"/f", False, "", `false`},
		{"/z", Null, "", `null`},
		{"/e", Object, "", `{}`},
		{"/~1", Array, "", `[]`},
	}
	for _, test := range tests {
		p, err := ParsePointer(test.pointer)
		if err != nil {
			t.Fatal(err)
		}
		v := root.At(p)
		if v == nil {
			t.Errorf("%s: nothing there", test.pointer)
			continue
		}
		if source := input[v.Start:v.End]; v.Kind != test.kind || v.Text != test.text || source != test.source {
			t.Errorf("%s: %s %q from %q; want %s %q from %q", test.pointer, v.Kind, v.Text, source, test.kind, test.text, test.source)
		}
	}
	const compact = `{"id":"Aé\n","n":[1.50,-0,1E+2],"t":true,"f":false,"z":null,"e":{},"/":[]}`
	if got := Append(nil, root); string(got) != compact {
		t.Errorf("written: %s; want %s", got, compact)
	}
}

func TestWithinTheLimits(t *testing.T) {
	for name, input := range map[string]string{
		"depth 64":         strings.Repeat("[", 64) + strings.Repeat("]", 64),
		"100 digits":       "-1." + strings.Repeat("9", 99),
		"exponent 400":     "1e+400",
		"exponent, zeros":  "1e-0000400",
		"a string of 1 Mi": `"` + strings.Repeat("x", 1<<20) + `"`,
		"a pair":           `"\ud83d\ude00"`,
		"used twice apart": `[{"amount":1},{"amount":2}]`,
		"white space":      "\t[ ]\r\n ",
	} {
		if _, err := Parse([]byte(input), Options{Used: usedNames}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
