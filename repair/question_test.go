package repair

import (
	"errors"
	"strings"
	"testing"
)

// TestJudge answers questions as a model would, well and badly.
func TestJudge(t *testing.T) {
	const (
		text = "{name = 'A. Smith', \"total\" 1999; state: paid /* by card */, \"lines\":[{\"qty\" 2}]}"
	)
	q, err := Ask([]byte(text), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := q.Skeleton(), `{ s1 = 's3' , "s5" 1000006 ; s8 : s10 , "s13" : [ { "s17" 1000018 } ] } `; got != want {
		t.Fatalf("skeleton: %s; want %s", got, want)
	}
	good := `{"s1":"s3","s5":1000006,"s8":"s10","s13":[{"s17":1000018}]}`
	result, err := q.Judge([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	const want = "{\"name\": \"A. Smith\", \"total\": 1999, \"state\": \"paid\" , \"lines\":[{\"qty\": 2}]}"
	if got := strings.ReplaceAll(string(result.Text), "  ", " "); got != strings.ReplaceAll(want, "  ", " ") {
		t.Errorf("text: %s; want %s", got, want)
	}
	const edits = "quote_name /name 1, add_colon /name 5, remove_stray /name 6, replace_quotes /name 8, add_colon /total 27, add_comma /state 32, remove_stray /state 32, quote_name /state 34, quote_word /state 41, remove_comment /lines 46, add_colon /lines/0/qty 76"
	if got := editList(result.Edits); got != edits {
		t.Errorf("edits: %s; want %s", got, edits)
	}
	for name, answer := range map[string]string{
		"not JSON":                 `{"s1":`,
		"prose":                    "Here you are: " + good,
		"a value changed":          strings.Replace(good, "1000006", "1000018", 1),
		"a value of its own":       strings.Replace(good, "1000006", "5", 1),
		"a member left out":        strings.Replace(good, `"s5":1000006,`, "", 1),
		"a member more":            strings.Replace(good, "{", `{"approved":true,`, 1),
		"a member twice":           strings.Replace(good, `"s5":1000006,`, `"s5":1000006,"s5":1000006,`, 1),
		"two values exchanged":     `{"s1":"s10","s5":1000006,"s8":"s3","s13":[{"s17":1000018}]}`,
		"two members exchanged":    `{"s5":1000006,"s1":"s3","s8":"s10","s13":[{"s17":1000018}]}`,
		"a name for a value":       `{"s3":"s1","s5":1000006,"s8":"s10","s13":[{"s17":1000018}]}`,
		"a number as a string":     strings.Replace(good, "1000006", `"1000006"`, 1),
		"a literal":                strings.Replace(good, `"s10"`, "true", 1),
		"moved in":                 `{"s1":"s3","s5":1000006,"s8":"s10","s13":[{"s17":1000018,"x":{}}]}`,
		"an array put around":      "[" + good + "]",
		"brackets of another kind": strings.NewReplacer("[", "{", "]", "}", `{"s17"`, `"s17"`).Replace(good),
		"names with values put in": strings.Replace(good, "s1", "name", 1),
		"nothing":                  "",
		"null":                     "null",
	} {
		var r *Refusal
		if result, err := q.Judge([]byte(answer)); !errors.As(err, &r) {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}

// TestModelIsNotAsked lists texts that a model could only guess about.
func TestModelIsNotAsked(t *testing.T) {
	for name, text := range map[string]string{
		"valid":                       `{"a":1}`,
		"cut in a number":             `{"a" 10`,
		"cut in a string":             `{"a" "b`,
		"cut in a word":               `{"a": act`,
		"cut behind a comma":          `{"a" 1,`,
		"cut behind a name":           `{"a" 1, b`,
		"cut behind a colon":          `{"a" 1, "b":`,
		"no value":                    `{"a": , "b" 1}`,
		"leading zero":                `{"a" 007}`,
		"NaN":                         `{"a" NaN}`,
		"two numbers":                 `{"a" 1 000}`,
		"two numbers, one reading?":   `{"a" 1 200}`,
		"two strings in an array":     `["a" "b"; 1]`,
		"side by side":                `{"a""b"}`,
		"a word that may be true":     `{"a": TRUE}`,
		"a word that may be cut":      `{"a": fal}`,
		"prose":                       `Here is the payment {"a":1}`,
		"brackets that close nothing": `{"a":1}}`,
		"brackets of another kind":    `{"a" 1]`,
		"bad UTF-8":                   "{\"a\" \"\xff\"}",
		"nothing":                     "",
		"too deep":                    `{"a" 1` + strings.Repeat(",[", 65),
		"too large":                   `{"a" 1` + strings.Repeat(",1", 4096) + "]",
		"other characters":            `{"a": £5}`,
	} {
		var r *Refusal
		if q, err := Ask([]byte(text), Limits{}); !errors.As(err, &r) {
			t.Errorf("%s: %v, %v", name, q, err)
		}
	}
}

// TestModelDoesNotChooseAPlace has a model say where a bracket is missing that
// can be missing in two places.
func TestModelDoesNotChooseAPlace(t *testing.T) {
	q, err := Ask([]byte(`{"a":{"x" 1,"y":"2"}`), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range []string{
		`{"s1":{"s4":1000005,"s7":"s9"}}`,
		`{"s1":{"s4":1000005},"s7":"s9"}`,
	} {
		var r *Refusal
		if result, err := q.Judge([]byte(answer)); !errors.As(err, &r) || r.Cause != TwoReadings {
			t.Errorf("%s: %+v, %v", answer, result, err)
		}
	}
}
