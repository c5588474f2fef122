package resolver

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestDocumentedClasses holds the table of docs/resolver.md against the code.
func TestDocumentedClasses(t *testing.T) {
	page, err := os.ReadFile("../docs/resolver.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| (not needed|yes|never|single address) \\|").FindAllStringSubmatch(string(page), -1) {
		class, hole := row[1], row[2]
		documented = append(documented, class)
		want := "yes"
		switch {
		case class == ClassPublic:
			want = "not needed"
		case class == ClassOwnAddress || class == ClassAPIServer:
			want = "single address"
		case closed(class):
			want = "never"
		}
		if hole != want {
			t.Errorf("%s: the page says %q of holes, the code %q", class, hole, want)
		}
	}
	if !slices.Equal(documented, Classes()) {
		t.Errorf("the page lists\n%q\nthe code\n%q", documented, Classes())
	}
}
