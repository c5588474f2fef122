package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// file is a configuration file: its settings, and where each of them stands.
type file struct {
	path     string
	settings map[string]any
	lines    map[string]int // by key, elements of lists included: resolver.hosts[0].name
	problems []*KeyError
}

// parse reads a file's YAML, strictly: one mapping, whose keys are known and
// stand once. What is wrong is left out of the settings, so that the rest can
// still be checked.
func parse(path string, data []byte) (*file, error) {
	f := &file{path: path, lines: make(map[string]int)}
	if err := f.decode(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func (f *file) decode(data []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil // empty, or comments only: the defaults
	} else if err != nil {
		return err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("holds more than one YAML document; keep one")
	}
	root := document.Content[0]
	if root.Tag == "!!null" {
		return nil
	}
	f.walk(root, "", reflect.TypeFor[Config]())
	if root.Kind != yaml.MappingNode {
		return nil // walk has said so
	}
	return root.Decode(&f.settings)
}

// walk holds a node against the type that it is decoded into.
func (f *file) walk(n *yaml.Node, path string, t reflect.Type) {
	switch {
	case n.Tag == "!!null":
	case n.Kind == yaml.AliasNode:
		f.refuse(n, path, "is an alias; write the value out")
	case t.Kind() == reflect.Struct && !scalarType(t):
		f.mapping(n, path, t)
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for i, element := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			f.lines[at] = element.Line
			f.walk(element, at, t.Elem())
		}
	case t.Kind() == reflect.Slice && n.Kind == yaml.MappingNode:
		f.refuse(n, path, "want a list, not a mapping; put a dash before each element")
	case t.Kind() != reflect.Slice && n.Kind != yaml.ScalarNode:
		f.refuse(n, path, "want a single value, not "+kind(n))
	}
}

// refuse reports a value and takes it out, so that the default stands in.
func (f *file) refuse(n *yaml.Node, path, what string) {
	f.report(n.Line, path, what)
	*n = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
}

func (f *file) mapping(n *yaml.Node, path string, t reflect.Type) {
	if n.Kind != yaml.MappingNode {
		f.refuse(n, path, "want a mapping of settings, not "+kind(n))
		return
	}
	known, seen := children(t), make(map[string]bool)
	prefix := path
	if prefix != "" {
		prefix += "."
	}
	kept := n.Content[:0]
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		at := prefix + name.Value
		child, ok := known[name.Value]
		switch {
		case !ok:
			f.unknown(name, prefix, known)
			continue
		case seen[name.Value]:
			f.report(name.Line, at, "is set twice; keep one")
			continue
		}
		seen[name.Value] = true
		f.lines[at] = name.Line
		f.walk(value, at, child)
		kept = append(kept, name, value)
	}
	n.Content = kept
}

func (f *file) unknown(name *yaml.Node, prefix string, known map[string]reflect.Type) {
	what := "is not a known key"
	if near := suggest(prefix, name.Value, known); near != "" {
		what += "; did you mean " + near + "?"
	}
	f.report(name.Line, prefix+strings.Trim(strconv.Quote(name.Value), `"`), what)
}

func (f *file) report(line int, key, what string) {
	f.problems = append(f.problems, &KeyError{Key: key, Source: fmt.Sprintf("%s:%d", f.path, line), Err: errors.New(what), line: line})
}

// line is where a key, or the nearest that it is part of, stands.
func (f *file) line(key string) (int, bool) {
	for key != "" {
		if line, ok := f.lines[key]; ok {
			return line, true
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return 0, false
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	default:
		return "a single value"
	}
}
