package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The keys of a policy file. docs/policy.md describes each.
var (
	fileKeys      = []string{"version", "mode", "rules", "deny", "patterns", "limits", "addresses"}
	ruleKeys      = []string{"name", "hosts", "ports", "schemes", "methods", "paths", "agents", "intercept", "opaque", "ech", "limits"}
	denyKeys      = []string{"name", "hosts"}
	patternKeys   = []string{"name", "match", "action"}
	limitKeys     = []string{"requests_per_second", "burst", "concurrent", "tunnels", "request_bytes", "response_bytes", "tunnel_idle", "tunnel_lifetime"}
	addressesKeys = []string{"allow"}
)

// Error is one thing that is wrong with a policy file.
type Error struct {
	Path    string
	Line    int    // from 1; 0 where the file as a whole is meant
	Rule    string // name of the rule or deny entry; "" outside of one
	Problem string // what is wrong and how to mend it
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Path)
	if e.Line > 0 {
		b.WriteString(":" + strconv.Itoa(e.Line))
	}
	b.WriteString(": ")
	if e.Rule != "" {
		fmt.Fprintf(&b, "rule %q: ", e.Rule)
	}
	b.WriteString(e.Problem)
	return b.String()
}

// reader reads the YAML nodes of one file and gathers what is wrong with them.
// Nodes rather than structs: every complaint names its line and its rule.
type reader struct {
	path     string
	rule     string // that is being read
	errs     []*Error
	unsaid   int // complaints beyond mostErrors
	elements int // of all lists, each as often as aliases repeat it
}

const (
	mostErrors   = 100       // that anybody reads
	mostElements = 1_000_000 // which aliases make of a short file; ten thousand rules have a tenth
)

func (r *reader) complain(n *yaml.Node, format string, args ...any) {
	if len(r.errs) >= mostErrors {
		r.unsaid++
		return
	}
	r.errs = append(r.errs, &Error{Path: r.path, Line: n.Line, Rule: r.rule, Problem: fmt.Sprintf(format, args...)})
}

// document returns the one mapping of a file; nil where there is none, which is
// fine for an empty file.
func (r *reader) document(data []byte) *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		r.errs = append(r.errs, syntaxError(r.path, err))
		return nil
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		r.complain(&more, "a second document starts here; a policy file is one document")
	case !errors.Is(err, io.EOF):
		r.errs = append(r.errs, syntaxError(r.path, err))
	}
	root := resolve(doc.Content[0])
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil
	}
	return root
}

// syntaxLine finds the place in an error of the YAML parser, which is often the
// line before.
var syntaxLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

func syntaxError(path string, err error) *Error {
	text := err.Error()
	m := syntaxLine.FindStringSubmatch(text)
	line, _ := strconv.Atoi(m[1]) // 0 where there is no number
	quoted := strconv.QuoteToASCII(text[len(m[0]):])
	return &Error{Path: path, Line: line, Problem: "not valid YAML near here: " + quoted[1:len(quoted)-1]}
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// mapping returns the values of a mapping by key. Keys that are not known, or
// there twice, are errors.
func (r *reader) mapping(n *yaml.Node, what string, known []string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		r.complain(n, "%s is a mapping of keys to values, not %s", what, kind(n))
		return nil
	}
	values := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		switch {
		case !slices.Contains(known, key.Value):
			r.complain(key, "unknown key %s%s", excerpt(key.Value), suggestion(key.Value, known))
		case values[key.Value] != nil:
			r.complain(key, "%s is there twice", key.Value)
		default:
			values[key.Value] = value
		}
	}
	return values
}

// list returns the elements of a list that is not empty; nil, with a complaint,
// for anything else. An absent list is nil without one.
func (r *reader) list(n *yaml.Node, what string) []*yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		r.complain(n, "%s is a list, not %s", what, kind(n))
		return nil
	case len(n.Content) == 0:
		r.complain(n, "%s is an empty list; leave the key out, or list something", what)
		return nil
	}
	within := r.elements <= mostElements
	if r.elements += len(n.Content); r.elements > mostElements {
		if within {
			r.complain(n, "the lists of the policy have more than %d elements in all, those that aliases repeat included", mostElements)
		}
		return nil
	}
	elements := make([]*yaml.Node, len(n.Content))
	for i, e := range n.Content {
		elements[i] = resolve(e)
	}
	return elements
}

// text returns a string; "" with a complaint for anything else, and for the
// empty string. An absent one is "" without a complaint.
func (r *reader) text(n *yaml.Node, what string) string {
	switch {
	case n == nil:
	case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str":
		r.complain(n, "%s is a string, not %s", what, kind(n))
	case n.Value == "":
		r.complain(n, "%s is empty", what)
	default:
		return n.Value
	}
	return ""
}

// truth returns a boolean, false with a complaint for anything else.
func (r *reader) truth(n *yaml.Node, what string) bool {
	if n == nil {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		r.complain(n, "%s is true or false, not %s", what, kind(n))
		return false
	}
	return strings.EqualFold(n.Value, "true")
}

// kind names what stands where something else should.
func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "nothing"
	case n.ShortTag() == "!!str":
		return excerpt(n.Value)
	}
	return "the " + map[string]string{"!!int": "number", "!!float": "number", "!!bool": "boolean"}[n.ShortTag()] + " " + excerpt(n.Value)
}

// suggestion names the known key that s is nearest to, where one is near, and
// all of them otherwise.
func suggestion(s string, known []string) string {
	nearest, least := "", 3
	for _, k := range known {
		if d := distance(s, k); d < least && 3*d <= len(k) {
			nearest, least = k, d
		}
	}
	if nearest == "" {
		return " (known here: " + strings.Join(known, ", ") + ")"
	}
	return " (did you mean " + nearest + "?)"
}

// distance is the Levenshtein distance of a and b in bytes; for strings of very
// different length it is at least the difference.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 3 || d < -3 {
		return max(d, -d)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
