package repair

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocs tries every row of docs/repair.md, and looks there for every edit and
// every cause.
func TestDocs(t *testing.T) {
	read := func(path string) string {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	page := read("../docs/repair.md")
	repaired := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| `(.+)` \\| `(.+)` \\|$").FindAllStringSubmatch(page, -1)
	for _, row := range repaired {
		result, err := Local([]byte(row[2]), Limits{})
		if err != nil || string(result.Text) != row[3] {
			t.Errorf("%s: %+v, %v; want %s", row[2], result, err, row[3])
			continue
		}
		for _, e := range result.Edits {
			if string(e.Op) != row[1] {
				t.Errorf("%s: %s; want %s", row[2], e.Op, row[1])
			}
		}
	}
	refused := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^`|]+) \\|$").FindAllStringSubmatch(page, -1)
	for _, row := range refused {
		var r *Refusal
		if _, err := Local([]byte(row[1]), Limits{}); !errors.As(err, &r) || string(r.Cause) != row[2] {
			t.Errorf("%s: %v; want %q", row[1], err, row[2])
		}
	}
	if len(repaired) < 9 || len(refused) < 20 {
		t.Errorf("%d rows that are repaired and %d that are refused: the page has changed its form", len(repaired), len(refused))
	}
	constant := regexp.MustCompile(`(?m)^\t\w+ +(?:Cause|Op) += "(.+)"`)
	for _, file := range []string{"edit.go", "refusal.go"} {
		for _, c := range constant.FindAllStringSubmatch(read(file), -1) {
			if !strings.Contains(page, c[1]) {
				t.Errorf("docs/repair.md has nothing of %q", c[1])
			}
		}
	}
	for line := range strings.Lines(read("testdata/table.txt")) {
		if strings.TrimSpace(line) != "" && !strings.Contains(page, "    "+line) {
			t.Errorf("docs/repair.md lacks the line %q of testdata/table.txt", line)
		}
	}
	skeleton := regexp.MustCompile(`(?m)^ {4}body +(.+)\n {4}is sent +(.+)$`).FindStringSubmatch(page)
	if skeleton == nil {
		t.Fatal("docs/repair.md shows no skeleton")
	}
	q, err := Ask([]byte(skeleton[1]), Limits{})
	if err != nil || strings.TrimSpace(q.Skeleton()) != skeleton[2] {
		t.Errorf("%s is sent as %s, %v; the page says %s", skeleton[1], q.Skeleton(), err, skeleton[2])
	}
}
