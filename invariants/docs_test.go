package invariants

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func rulesPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// TestDocsExamples tries the examples of docs/rules.md.
func TestDocsExamples(t *testing.T) {
	page := rulesPage(t)
	documents := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(documents) != 2 {
		t.Fatalf("%d documents, want an original and a payload", len(documents))
	}
	in := Input{Original: doc(t, documents[0][1]), Transformed: doc(t, documents[1][1])}
	_, examples, _ := strings.Cut(page, "| check | verdict |\n|---|---|\n")
	examples, _, _ = strings.Cut(examples, "\n\n")
	rows := regexp.MustCompile("(?m)^\\| `(.*)` \\| (.*) \\|$").FindAllStringSubmatch(examples, -1)
	if len(rows) != strings.Count(examples, "\n")+1 {
		t.Fatalf("%d of the rows can be read", len(rows))
	}
	for _, row := range rows {
		check, want := strings.ReplaceAll(row[1], `\|`, "|"), row[2]
		got, message := verdict(t, check, in)
		switch {
		case want == "holds" && got == "true", want == "is false" && got == "false":
		case got == "error" && strings.Contains(message, want):
		default:
			t.Errorf("%s: %s %s, want %s", check, got, message, want)
		}
	}
}

// TestDocsHaveEveryFunction: what the language has is on the page, and nothing
// else is there as a function or a ready-made rule.
func TestDocsHaveEveryFunction(t *testing.T) {
	page := rulesPage(t)
	table := func(begin string) map[string]bool {
		_, rows, _ := strings.Cut(page, begin)
		_, rows, _ = strings.Cut(rows, "|---|")
		rows, _, _ = strings.Cut(rows, "\n\n")
		names := map[string]bool{}
		for _, row := range strings.Split(rows, "\n")[1:] {
			cell, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
			for _, m := range regexp.MustCompile("([a-zA-Z_-]+)(?:\\(|`$)").FindAllStringSubmatch(cell, -1) {
				names[m[1]] = true
			}
		}
		return names
	}
	env, err := language()
	if err != nil {
		t.Fatal(err)
	}
	functions := table("| function | is |")
	for name := range env.Functions() {
		if regexp.MustCompile(`^[a-z]`).MatchString(name) && !functions[name] {
			t.Errorf("the page has no function %s", name)
		}
		delete(functions, name)
	}
	for _, macro := range env.Macros() {
		if name := macro.Function(); name != "has" && !functions[name] && !strings.Contains(page, name+"(") {
			t.Errorf("the page has no macro %s", name)
		}
	}
	for _, macro := range env.Macros() {
		delete(functions, macro.Function())
	}
	rules := table("| `use` | holds when | `with` |")
	for name := range readyMade() {
		if !rules[name] {
			t.Errorf("the page has no rule %s", name)
		}
		delete(rules, name)
	}
	for name := range rules {
		functions[name] = true
	}
	for name := range functions {
		t.Errorf("%s is on the page, and there is no such thing", name)
	}
	if !strings.Contains(page, "Table as of "+currencyDate) {
		t.Errorf("the page does not say that the currencies are of %s", currencyDate)
	}
}
