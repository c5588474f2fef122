package rollout

import (
	"regexp"
	"slices"
	"strings"
)

// mostSiblings is how many names side by side are listed one by one. More of
// them are taken for values, such as identifiers, that will be others next time.
const mostSiblings = 4

// mostPaths is how many paths a proposed rule lists; above it the list would say
// less than its absence.
const mostPaths = 12

// SeenPath is a path of a proposed rule, and how often one that fits was seen.
type SeenPath struct {
	Path  string `json:"path"` // as rules write it
	Times int64  `json:"times"`
}

// pathTree gathers paths segment by segment.
type pathTree struct {
	children map[string]*pathTree
	here     int64 // requests for exactly this path
	below    int64 // requests for it and what is below
}

// identifier fits segments that name one thing of many: numbers, UUIDs, digests
// and long tokens with digits in them.
var identifier = regexp.MustCompile(`^([0-9]+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{16,}|[A-Za-z]+[-_][A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]{8,})$`)

// add counts a decoded path.
func (t *pathTree) add(path string, times int64) {
	t.below += times
	for segment := range strings.SplitSeq(path[1:], "/") {
		// A rule cannot write these characters; and * fits them.
		if identifier.MatchString(segment) || strings.ContainsAny(segment, "%?#*") {
			segment = "*"
		}
		if t.children == nil {
			t.children = make(map[string]*pathTree)
		}
		c := t.children[segment]
		if c == nil {
			c = new(pathTree)
			t.children[segment] = c
		}
		t = c
		t.below += times
	}
	t.here += times
}

// paths are patterns that fit all that was added; nil where only any path would.
func (t *pathTree) paths() []SeenPath {
	for depth := 8; depth > 0; depth-- {
		found := t.patterns("", depth)
		if found == nil {
			return nil
		}
		if len(found) <= mostPaths {
			slices.SortFunc(found, func(a, b SeenPath) int { return strings.Compare(a.Path, b.Path) })
			return found
		}
	}
	return nil
}

// patterns lists what is below prefix, down to depth segments. nil stands for
// prefix + "/**".
func (t *pathTree) patterns(prefix string, depth int) []SeenPath {
	if len(t.children) > mostSiblings || depth == 0 {
		return nil
	}
	found := []SeenPath{}
	for segment, c := range t.children {
		at := prefix + "/" + segment
		if c.here > 0 {
			found = append(found, SeenPath{at, c.here})
		}
		if len(c.children) == 0 {
			continue
		}
		below := c.patterns(at, depth-1)
		if below == nil {
			below = []SeenPath{{at + "/**", c.below - c.here}}
		}
		found = append(found, below...)
	}
	return found
}
