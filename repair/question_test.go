package repair

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/jsonx"
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

// TestModelDoesNotGuess has a model answer, in a way that keeps every token, what
// the text does not say.
func TestModelDoesNotGuess(t *testing.T) {
	tests := []struct {
		name, text, answer string
		cause              Cause
	}{
		{"where a bracket is missing", `{"a":{"x" 1,"y":"2"}`, `{"s1":{"s4":1000005,"s7":"s9"}}`, TwoReadings},
		{"where a bracket is missing, otherwise", `{"a":{"x" 1,"y":"2"}`, `{"s1":{"s4":1000005},"s7":"s9"}`, TwoReadings},
		{"that a name is a value", `[{"a" true, "b"]`, `[{"s2":1000003},"s5"]`, MissingColon},
		{"that nothing was to come", `{"a" [1,2,}`, `{"s1":[1000003,1000005]}`, CutItem},
		{"that nothing is behind a comment", "{\"a\" true // and so on", `{"s1":1000002}`, TwoReadings},
		{"where a comma is missing", `{"a":[1,"b" 2,"c":3}`, `{"s1":[1000004,"s6",1000007],"s9":1000011}`, TwoReadings},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q, err := Ask([]byte(test.text), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var r *Refusal
			if result, err := q.Judge([]byte(test.answer)); !errors.As(err, &r) || r.Cause != test.cause {
				t.Errorf("%+v, %v; want %q", result, err, test.cause)
			}
		})
	}
}

// TestModelCannotChangeADocument has a model answer right, and then with tokens
// exchanged, dropped, doubled and replaced at random: the document that comes of
// it is the one that was, or none.
func TestModelCannotChangeADocument(t *testing.T) {
	asked, refused := 0, 0
	for seed := range uint64(300) {
		a := newAuthor(seed)
		d := a.document()
		tokens, err := scan([]byte(d.text()), false)
		if err != nil {
			t.Fatal(err)
		}
		text, ok := every(d, isKind(pieceColon), func(piece) string { return " =" })
		q, err := Ask([]byte(text), Limits{})
		if !ok || err != nil {
			continue
		}
		asked++
		answer := strings.Fields(string(skeletonOf(tokens, nil)))
		result, err := q.Judge([]byte(strings.Join(answer, " ")))
		if err != nil || !jsonx.Equal(result.Value, &d.value) {
			t.Fatalf("the right answer to %s: %v, %v", text, result, err)
		}
		for range 20 {
			wrong := strings.Join(a.tampered(answer), " ")
			result, err := q.Judge([]byte(wrong))
			if err == nil && !jsonx.Equal(result.Value, &d.value) {
				t.Fatalf("%s is repaired to %s by the answer %s", text, result.Text, wrong)
			}
			if err != nil {
				refused++
			}
		}
	}
	if asked < 200 || refused < 15*asked {
		t.Errorf("%d questions, %d answers refused: too few to mean anything", asked, refused)
	}
}

// tampered changes up to three of the tokens.
func (a author) tampered(tokens []string) []string {
	tokens = slices.Clone(tokens)
	for range 1 + a.IntN(3) {
		i, j := a.IntN(len(tokens)), a.IntN(len(tokens))
		switch a.IntN(5) {
		case 0:
			tokens[i], tokens[j] = tokens[j], tokens[i]
		case 1:
			tokens = append(slices.Delete(tokens, i, i+1), "")
		case 2:
			tokens = slices.Insert(tokens, i, tokens[j])
		case 3:
			tokens[i] = tokens[j]
		case 4:
			tokens[i] = pick(a, "true", `"x"`, "7", "{", "]", ",", `""`)
		}
	}
	return tokens
}
