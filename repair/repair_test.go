package repair

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/jsonx"
)

// TestRepaired lists what is repaired, with the edits as receipts will have them.
func TestRepaired(t *testing.T) {
	tests := []struct{ name, input, want, edits string }{
		{"valid", ` {"a" : 1.0,"b":"\u0041"} `, ` {"a" : 1.0,"b":"\u0041"} `, ""},
		{"trailing comma", `{"a":[1,2,],}`, `{"a":[1,2]}`, "remove_comma /a 9, remove_comma  11"},
		{"comma behind the document", `{"a":1},`, `{"a":1}`, "remove_comma  7"},
		{"missing comma, members", "{\"a\":\"x\"\n \"b\":2}", "{\"a\":\"x\",\n \"b\":2}", "add_comma /b 8"},
		{"missing comma, objects", `[{"a":1} {"a":2}{"a":3}]`, `[{"a":1}, {"a":2},{"a":3}]`, "add_comma /1 8, add_comma /2 16"},
		{"missing comma, a literal", `["a" true 1]`, `["a", true, 1]`, "add_comma /1 4, add_comma /2 9"},
		{"single quotes", `{'a':'it"s','b':'it\'s'}`, `{"a":"it\"s","b":"it's"}`, "replace_quotes /a 1, replace_quotes /a 5, replace_quotes /b 12, replace_quotes /b 16"},
		{"typographic quotes", `{“a”: “x’y”, ‘b’: ‘z’}`, `{"a": "x’y", "b": "z"}`, "replace_quotes /a 1, replace_quotes /a 10, replace_quotes /b 23, replace_quotes /b 32"},
		{"escapes in single quotes", `['\u00e9\n\\ \"']`, `["é\n\\ \""]`, "replace_quotes /0 1"},
		{"names without quotes", `{amount_minor: 5, $ref: {b2: 1}}`, `{"amount_minor": 5, "$ref": {"b2": 1}}`, "quote_name /amount_minor 1, quote_name /$ref 18, quote_name /$ref/b2 25"},
		{"literals", `[True, False, None, undefined]`, `[true, false, null, null]`, "replace_literal /0 1, replace_literal /1 7, replace_literal /2 14, replace_literal /3 20"},
		{"comments", "{ // first\n\"a\":1, /* \"b\":2 */ \"c\":\"//\"}", "{ \n\"a\":1,  \"c\":\"//\"}", "remove_comment /a 2, remove_comment /c 18"},
		{"code fence", "```json\n{\"a\":1}\n```\n", "\n{\"a\":1}\n\n", "remove_code_fence  0, remove_code_fence  16"},
		{"code fence, opening alone", "```\n[1]", "\n[1]", "remove_code_fence  0"},
		{"brackets missing at the end", `{"a":[{"b":"x"}`, `{"a":[{"b":"x"}]}`, "add_closing_bracket /a 15, add_closing_bracket  15"},
		{"bracket missing before another", `{"a":[{"x":1,"y":2]}`, `{"a":[{"x":1,"y":2}]}`, "add_closing_bracket /a/0 18"},
		{"bracket missing before a member", `{"a":[1,{"x":2},"b":3}`, `{"a":[1,{"x":2}],"b":3}`, "add_closing_bracket /a 15"},
		{"brackets missing before an element", `[{"a":{"x":1} 2,3]`, `[{"a":{"x":1}}, 2,3]`, "add_closing_bracket /0 13, add_comma /1 13"},
		{"bracket missing, white space", "[\"a\"\n", "[\"a\"]\n", "add_closing_bracket  4"},
		{"a literal at the end", `{"paid":true`, `{"paid":true}`, "add_closing_bracket  12"},
		{"everything", "```js\n{a: 'x', // c\n b: [True 'y',] \"c\": {}", "\n{\"a\": \"x\", \n \"b\": [true, \"y\"], \"c\": {}}", "remove_code_fence  0, quote_name /a 7, replace_quotes /a 10, remove_comment /b 15, quote_name /b 21, replace_literal /b/0 25, add_comma /b/1 29, replace_quotes /b/1 30, remove_comma /b 33, add_comma /c 35, add_closing_bracket  43"},
		{"a path's letter", `{"a/~":'x'}`, `{"a/~":"x"}`, "replace_quotes /a~1~0 7"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			result, err := Local([]byte(test.input), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if string(result.Text) != test.want {
				t.Errorf("text: %s; want %s", result.Text, test.want)
			}
			if got := editList(result.Edits); got != test.edits {
				t.Errorf("edits: %s; want %s", got, test.edits)
			}
			if result.Before != Digest([]byte(test.input)) || result.After != Digest([]byte(test.want)) {
				t.Errorf("digests %s and %s", result.Before, result.After)
			}
		})
	}
}

func editList(edits []Edit) string {
	list := make([]string, len(edits))
	for i, e := range edits {
		list[i] = fmt.Sprintf("%s %s %d", e.Op, e.Path, e.Offset)
	}
	return strings.Join(list, ", ")
}

// TestRefused lists what is not repaired, why, and whether a model may be asked.
func TestRefused(t *testing.T) {
	tests := []struct {
		name, input string
		offset      int64
		cause       Cause
	}{
		{"cut in a number", `{"amount":10`, 10, CutNumber},
		{"cut in a number, white space", "{\"amount\":10\n", 10, CutNumber},
		{"cut in a number, fenced", "```\n{\"amount\":10\n```", 14, CutNumber},
		{"cut in a string", `{"id":"INV-1`, 6, CutString},
		{"cut in a name", `{"a":1,"amo`, 7, CutString},
		{"cut behind a name", `{"a":1,"b"`, 7, MissingColon},
		{"cut behind a colon", `{"a":1,"b":`, 10, CutItem},
		{"cut behind a comma", `{"a":"x",`, 8, CutItem},
		{"cut behind a bracket", `{"a":[`, 6, CutItem},
		{"cut in a literal", `{"a":tru`, 5, BareWord},
		{"bracket missing, a member could be in two", `{"a":{"x":1,"y":2}`, 12, TwoReadings},
		{"bracket missing, an element could be in two", `[1,[2,"3"]`, 6, TwoReadings},
		{"brackets missing, two levels up", `[{"a":[1,"2"`, 9, TwoReadings},
		{"bracket missing, comma", `{"a":[1,2,}`, 10, CutItem},
		{"bracket missing, nothing in it", `{"a":["b":1}`, 6, TwoReadings},
		{"leading zero", `{"a":007,}`, 5, NotANumber},
		{"leading plus", `[+1]`, 1, NotANumber},
		{"hexadecimal", `[0x1F]`, 1, NotANumber},
		{"digits in groups", `[1_000]`, 1, NotANumber},
		{"digits in groups, spaces", `[1 000]`, 3, NotANumber},
		{"two numbers", `[1 200]`, 3, TwoReadings},
		{"a number's end", `{"a":1.}`, 5, NotANumber},
		{"NaN", `[NaN]`, 1, NotALiteral},
		{"Infinity", `[-Infinity]`, 1, NotALiteral},
		{"two strings", `["a" "b"]`, 5, TwoReadings},
		{"two strings, doubled quotes", `{"a":"x""b":1}`, 8, TwoReadings},
		{"quotes shifted", `[","[1,2]",true,pay",]`, 4, TwoReadings},
		{"quotes shifted, behind", `[["a"]",true,b",]`, 6, TwoReadings},
		{"quotes inside", `{"a":"say "hi" now"}`, 11, BareWord},
		{"an apostrophe", `{'a':'it's'}`, 10, CutString},
		{"typographic quotes, mixed", `["a", “b"c”]`, 6, TwoReadings},
		{"an escape of one language", `['\x41']`, 1, BadString},
		{"an escape that two read differently", `['\/']`, 1, BadString},
		{"a line break in a string", "{\"a\":\"x\ny\",}", 5, BadString},
		{"a bare value", `{"a": active}`, 6, BareWord},
		{"a number as a name", `{1: 2}`, 1, BareWord},
		{"a literal as a name", `{None: 2}`, 1, BareWord},
		{"no value", `{"a":,"b":1}`, 5, MissingValue},
		{"no colon", `{"a" 1}`, 1, MissingColon},
		{"no name", `{:1}`, 1, StrayCharacter},
		{"comma twice", `[1,,2]`, 3, MisplacedComma},
		{"comma first", `[,1]`, 1, MisplacedComma},
		{"bracket too many", `{"a":{"b":1},"c":2}}`, 19, MoreThanOne},
		{"wrong bracket", `[1,2}`, 4, UnexpectedClose},
		{"opening bracket missing", `{"a":1,2],"b":3}`, 7, MissingColon},
		{"prose before", `Here it is: {"a":1}`, 0, BareWord},
		{"prose behind", `{"a":1} as you asked`, 8, BareWord},
		{"prose alone", `I cannot do that.`, 12, BareWord},
		{"lines of documents", "{\"a\":1}\n{\"a\":2}", 8, MoreThanOne},
		{"a call", `callback({"a":1})`, 8, StrayCharacter},
		{"a comment that goes on", `{"a":1 /* b`, 7, OpenComment},
		{"a comment's end", "{\"a\":1, // x\r\"b\":2,\n}", 8, TwoReadings},
		{"half a pair of quotes in a comment", "{\"a\":true // b\"\n}", 10, TwoReadings},
		{"a comma or a colon missing, and a bracket", `{"a":[1,"b" 2,"c":3}`, 12, TwoReadings},
		{"a bracket in a comment", "{\"a\":[{\"b\":true // }\n]}", 16, TwoReadings},
		{"a comment at the end", `{"a":true // b`, 10, TwoReadings},
		{"text behind a fence", "```\n{\"a\":1}\n```\nHope it helps", 16, MoreThanOne},
		{"name twice", `{"a":1,"a":2}`, 7, Unreadable},
		{"name twice, malformed", `{"a":1,'a':2}`, -1, Unreadable},
		{"bad UTF-8", "{\"a\":\"\xff\",}", 6, Unreadable},
		{"bad UTF-8, behind", "{'a':1, \"b\":\"\xff\"}", 12, BadString},
		{"byte order mark", "\xef\xbb\xbf{}", 0, Unreadable},
		{"lone surrogate", `{'a':'\ud800'}`, 5, BadString},
		{"nothing", ``, 0, Unreadable},
		{"a comment alone", `// a`, 0, Unreadable},
		{"a byte of no meaning", "{\"a\":1;}", 6, StrayCharacter},
		{"non-breaking space", "{\"a\":\u00a01,}", 5, StrayCharacter},
		{"a backtick", "{\"a\":`x`}", 5, StrayCharacter},
		{"too deep", "[1,]" + strings.Repeat("[", 65), 4, MoreThanOne},
		{"too deep, malformed before", "[{a:" + strings.Repeat("[", 65), 66, Unreadable},
		{"an exponent of 100 digits", `{"a":1e` + strings.Repeat("9", 100) + `,}`, 5, Unreadable},
		{"too large", "[" + strings.Repeat("1,", 4096) + "]", 8192, TooLarge},
		{"too many edits", "[" + strings.Repeat("True,", 1001) + "]", 5001, TooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			result, err := Local([]byte(test.input), Limits{})
			var r *Refusal
			if !errors.As(err, &r) {
				t.Fatalf("%v, %v; want a refusal", result, err)
			}
			if r.Offset != test.offset || r.Cause != test.cause {
				t.Errorf("%v (offset %d); want %q at %d", err, r.Offset, test.cause, test.offset)
			}
		})
	}
}

// TestHostileTextIsRefusedSoon gives much more time than it takes, so that a busy
// machine passes; what is superlinear does not.
func TestHostileTextIsRefusedSoon(t *testing.T) {
	start := time.Now()
	for name, text := range map[string]string{
		"brackets":         strings.Repeat("[", 1<<20),
		"brackets, 64 KiB": strings.Repeat("[", 64<<10),
		"objects":          strings.Repeat(`{a:`, 20_000),
		"nested, readings": strings.Repeat(`{"a":1,"b":`, 60) + strings.Repeat(`{"a":1},"c":`, 4000),
		"elements":         "[[" + strings.Repeat("1,", 30_000) + "1]",
		"fences":           strings.Repeat("```\n", 16_000),
		"comments":         strings.Repeat("/**/", 16_000),
		"quotes":           strings.Repeat("'", 64_000),
		"commas":           strings.Repeat(",", 64_000),
		"words":            strings.Repeat("a ", 32_000),
		"a hundred 9s":     "[1e" + strings.Repeat("9", 100) + ",]",
		"as many tokens":   "[" + strings.Repeat("{a:1},", 1300) + "1,,]",
	} {
		if result, err := Local([]byte(text), Limits{}); err == nil {
			t.Errorf("%s: repaired to %.60s", name, result.Text)
		}
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

// TestOnlyReading holds the search for a second reading against one that tries
// every place of every missing bracket.
func TestOnlyReading(t *testing.T) {
	const alphabet = "[{}]ek" // e is an element, k a member; k[ is a member that is an array
	var texts func(prefix string, length int)
	checked, refused := 0, 0
	texts = func(prefix string, length int) {
		if length > 0 {
			for _, c := range alphabet {
				texts(prefix+string(c), length-1)
			}
			return
		}
		events, ok := eventsOf(prefix)
		if !ok {
			return
		}
		depths, _, _, err := lazily(events, 0)
		readings := map[string]bool{}
		everyReading(events, nil, "", readings)
		switch {
		case err == nil && len(readings) == 0:
			t.Fatalf("%s: there is no reading", prefix)
		case err != nil:
			if r := new(Refusal); errors.As(err, &r) && r.Cause != TwoReadings && r.Cause != CutItem && len(readings) > 0 {
				t.Fatalf("%s: %v, with %d readings", prefix, err, len(readings))
			}
			return
		}
		checked++
		if !balanced(events) {
			err = onlyReading(events, depths)
		}
		if (err == nil) != (len(readings) == 1) {
			t.Fatalf("%s: %v, with %d readings: %v", prefix, err, len(readings), readings)
		}
		if err != nil {
			refused++
		}
	}
	for length := 1; length <= 7; length++ {
		texts("", length)
	}
	if checked < 1000 || refused < 100 {
		t.Errorf("%d texts, %d refused: too few to mean anything", checked, refused)
	}
	t.Logf("%d texts with a reading, %d of them with several", checked, refused)
}

// eventsOf reads the alphabet of TestOnlyReading.
func eventsOf(text string) (events []event, ok bool) {
	for i := 0; i < len(text); i++ {
		e := event{at: i}
		switch text[i] {
		case 'k':
			e.keyed = true
			if i+1 < len(text) && strings.IndexByte("[{", text[i+1]) >= 0 {
				e.opens = text[i+1]
				i++
			}
		case '[', '{':
			e.opens = text[i]
		case ']', '}':
			e.closes = opening(text[i])
		}
		events = append(events, e)
	}
	return events, len(events) > 0
}

// everyReading writes each document that the events make, with brackets closed
// wherever that is possible.
func everyReading(events []event, open []byte, written string, readings map[string]bool) {
	started := written != ""
	if empty := strings.HasSuffix(written, "[") || strings.HasSuffix(written, "{"); len(open) > 0 && !empty {
		everyReading(events, open[:len(open)-1], written+"<", readings)
	}
	if len(events) == 0 {
		if started && len(open) == 0 {
			// Where it is closed by a bracket of the text or by one that is
			// added makes no difference to the document.
			readings[strings.NewReplacer("]", "<", "}", "<").Replace(written)] = true
		}
		return
	}
	e, rest := events[0], events[1:]
	open = append([]byte(nil), open...)
	top := byte(0)
	if len(open) > 0 {
		top = open[len(open)-1]
	}
	switch {
	case e.closes != 0 && top == e.closes:
		everyReading(rest, open[:len(open)-1], written+"<", readings)
	case e.closes != 0 || started && top == 0 || e.keyed != (top == '{'):
	case e.opens != 0:
		everyReading(rest, append(open, e.opens), written+string(e.opens), readings)
	default:
		everyReading(rest, open, written+"e", readings)
	}
}

func TestValidPassesByteForByte(t *testing.T) {
	for _, text := range []string{" [ 1.0e+5 ,\t\"\\u0041\\/\"]\n", `"x"`, `-0`, "null", `{"":{}}`} {
		result, err := Local([]byte(text), Limits{})
		if err != nil || string(result.Text) != text || len(result.Edits) > 0 || result.Before != result.After {
			t.Errorf("%q: %+v, %v", text, result, err)
			continue
		}
		if value, err := jsonx.Parse([]byte(text), jsonx.Options{}); err != nil || !jsonx.Equal(value, result.Value) {
			t.Errorf("%q is read as %v", text, result.Value)
		}
	}
}
