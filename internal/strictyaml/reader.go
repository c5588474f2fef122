// Package strictyaml reads the files that operators write, node by node, so that
// every complaint names its file and line. Unknown keys, keys that are there
// twice and values of another kind are errors; nothing is guessed.
package strictyaml

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Error is one thing that is wrong with a file.
type Error struct {
	Path    string
	Line    int    // from 1; 0 where the file as a whole is meant
	In      string // such as rule "openai"; "" outside of any
	Problem string // what is wrong and how to mend it
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Path)
	if e.Line > 0 {
		b.WriteString(":" + strconv.Itoa(e.Line))
	}
	b.WriteString(": ")
	if e.In != "" {
		b.WriteString(e.In + ": ")
	}
	b.WriteString(e.Problem)
	return b.String()
}

// Reader reads the YAML nodes of one file after the other and gathers what is
// wrong with them. Nodes rather than structs: every complaint names its line.
// The zero Reader is ready.
type Reader struct {
	In string // what is being read, as errors show it; the caller's to set

	path     string
	errs     []*Error
	first    int // of errs that belongs to the current file
	unsaid   int // complaints beyond mostErrors
	elements int // of all lists, each as often as aliases repeat it
}

const (
	mostErrors   = 100       // that anybody reads
	mostElements = 1_000_000 // which aliases make of a short file; ten thousand rules have a tenth
)

// Path names the file that is being read.
func (r *Reader) Path() string { return r.path }

// Err joins one *Error for each thing that is wrong, in the order of files and
// lines, and says how many there are beyond the first hundred; nil for none.
func (r *Reader) Err() error {
	if len(r.errs) == 0 {
		return nil
	}
	r.sort()
	joined := make([]error, len(r.errs))
	for i, e := range r.errs {
		joined[i] = e
	}
	if r.unsaid > 0 {
		joined = append(joined, fmt.Errorf("and %d more", r.unsaid))
	}
	return errors.Join(joined...)
}

// sort puts the current file's errors into the order of lines.
func (r *Reader) sort() {
	slices.SortStableFunc(r.errs[r.first:], func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
}

// Complain records what is wrong at a node.
func (r *Reader) Complain(n *yaml.Node, format string, args ...any) {
	if len(r.errs) >= mostErrors {
		r.unsaid++
		return
	}
	r.errs = append(r.errs, &Error{Path: r.path, Line: n.Line, In: r.In, Problem: fmt.Sprintf(format, args...)})
}

// Document returns the one node of a file; nil where there is none, which is
// fine for an empty file. Errors name the file by path.
func (r *Reader) Document(path string, data []byte) *yaml.Node {
	r.Resume(path)
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
		r.Complain(&more, "a second document starts here; a policy file is one document")
	case !errors.Is(err, io.EOF):
		r.errs = append(r.errs, syntaxError(r.path, err))
	}
	root := Resolve(doc.Content[0])
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil
	}
	return root
}

// Resume goes back to a file that was read before, for what only the whole shows.
func (r *Reader) Resume(path string) {
	r.sort()
	r.path, r.In, r.first = path, "", len(r.errs)
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

// Resolve follows an alias.
func Resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// Mapping returns the values of a mapping by key. Keys that are not known, or
// there twice, are errors.
func (r *Reader) Mapping(n *yaml.Node, what string, known []string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		r.Complain(n, "%s is a mapping of keys to values, not %s", what, Kind(n))
		return nil
	}
	values := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], Resolve(n.Content[i+1])
		switch {
		case !slices.Contains(known, key.Value):
			r.Complain(key, "unknown key %s%s", Excerpt(key.Value), suggestion(key.Value, known))
		case values[key.Value] != nil:
			r.Complain(key, "%s is there twice", key.Value)
		default:
			values[key.Value] = value
		}
	}
	return values
}

// Peek is the text of a mapping's key, of whatever is wrong with the mapping
// nothing said; "" where there is none.
func Peek(n *yaml.Node, key string) string {
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return Resolve(n.Content[i+1]).Value
		}
	}
	return ""
}

// Pair is one entry of a mapping whose keys the operator chooses.
type Pair struct {
	Name  string
	Key   *yaml.Node
	Value *yaml.Node
}

// Pairs returns the entries of a mapping that is not empty, in the order of
// lines; nil, with a complaint, for anything else, and for a key that is there
// twice. An absent mapping is nil without one.
func (r *Reader) Pairs(n *yaml.Node, what string) []Pair {
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.MappingNode:
		r.Complain(n, "%s is a mapping, not %s", what, Kind(n))
		return nil
	case len(n.Content) == 0:
		r.Complain(n, "%s is empty; leave the key out, or write something", what)
		return nil
	}
	var pairs []Pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := Resolve(n.Content[i]), Resolve(n.Content[i+1])
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			r.Complain(key, "a key of %s is a string, not %s", what, Kind(key))
		case slices.ContainsFunc(pairs, func(p Pair) bool { return p.Name == key.Value }):
			r.Complain(key, "%s is there twice", Excerpt(key.Value))
		default:
			pairs = append(pairs, Pair{Name: key.Value, Key: key, Value: value})
		}
	}
	return pairs
}

// List returns the elements of a list that is not empty; nil, with a complaint,
// for anything else. An absent list is nil without one.
func (r *Reader) List(n *yaml.Node, what string) []*yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		r.Complain(n, "%s is a list, not %s", what, Kind(n))
		return nil
	case len(n.Content) == 0:
		r.Complain(n, "%s is an empty list; leave the key out, or list something", what)
		return nil
	}
	within := r.elements <= mostElements
	if r.elements += len(n.Content); r.elements > mostElements {
		if within {
			r.Complain(n, "the lists of all files have more than %d elements in all, those that aliases repeat included", mostElements)
		}
		return nil
	}
	elements := make([]*yaml.Node, len(n.Content))
	for i, e := range n.Content {
		elements[i] = Resolve(e)
	}
	return elements
}

// Text returns a string; "" with a complaint for anything else, and for the
// empty string. An absent one is "" without a complaint.
func (r *Reader) Text(n *yaml.Node, what string) string {
	switch {
	case n == nil:
	case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str":
		r.Complain(n, "%s is a string, not %s", what, Kind(n))
	case n.Value == "":
		r.Complain(n, "%s is empty", what)
	default:
		return n.Value
	}
	return ""
}

// Truth returns a boolean, false with a complaint for anything else.
func (r *Reader) Truth(n *yaml.Node, what string) bool {
	if n == nil {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		r.Complain(n, "%s is true or false, not %s", what, Kind(n))
		return false
	}
	return strings.EqualFold(n.Value, "true")
}

// Kind names what stands where something else should.
func Kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "nothing"
	case n.ShortTag() == "!!str":
		return Excerpt(n.Value)
	}
	return "the " + map[string]string{"!!int": "number", "!!float": "number", "!!bool": "boolean"}[n.ShortTag()] + " " + Excerpt(n.Value)
}

// Excerpt quotes the start of s in ASCII.
func Excerpt(s string) string {
	const longest = 64
	if len(s) > longest {
		return strconv.QuoteToASCII(s[:longest]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
