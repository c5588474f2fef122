package policy

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated part of docs/policy.md anew")

const (
	docsFile  = "../../docs/policy.md"
	docsBegin = "<!-- from internal/policy/reason.go; go test ./internal/policy -update -->\n"
	docsEnd   = "<!-- end -->\n"
)

func docs(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// TestDocsHaveEveryReason holds the table of docs/policy.md against the code.
func TestDocsHaveEveryReason(t *testing.T) {
	page := docs(t)
	before, rest, ok := strings.Cut(page, docsBegin)
	_, after, closed := strings.Cut(rest, docsEnd)
	if !ok || !closed {
		t.Fatalf("%s lacks the marks %q and %q", docsFile, docsBegin, docsEnd)
	}
	var table strings.Builder
	table.WriteString("\n| reason | layer | hint |\n|---|---|---|\n")
	for _, r := range Reasons() {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", r, r.Layer(), r.Hint())
	}
	want := before + docsBegin + table.String() + "\n" + docsEnd + after
	if *update {
		if err := os.WriteFile(docsFile, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if page != want {
		t.Errorf("%s is behind reason.go: run go test ./internal/policy -update", docsFile)
	}
}

// TestDocsHaveEveryKey: each key of the schema has a heading, and each heading a
// key.
func TestDocsHaveEveryKey(t *testing.T) {
	var keys []string
	for prefix, list := range map[string][]string{"": fileKeys, "rules[].": ruleKeys, "deny[].": denyKeys, "patterns[].": patternKeys, "limits.": limitKeys, "addresses.": addressesKeys} {
		for _, k := range list {
			if k != "addresses" { // which is only the way to addresses.allow
				keys = append(keys, prefix+k)
			}
		}
	}
	var headings []string
	for _, m := range regexp.MustCompile("(?m)^### `(.+)`$").FindAllStringSubmatch(docs(t), -1) {
		headings = append(headings, m[1])
	}
	slices.Sort(keys)
	slices.Sort(headings)
	if !slices.Equal(keys, headings) {
		t.Errorf("keys\n%q\nheadings\n%q", keys, headings)
	}
}

// TestDocsExamplesCompile: what the page shows as a policy is one.
func TestDocsExamplesCompile(t *testing.T) {
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(docs(t), -1)
	if len(examples) < 4 {
		t.Errorf("%d examples", len(examples))
	}
	for _, m := range examples {
		compile(t, m[1])
	}
}
