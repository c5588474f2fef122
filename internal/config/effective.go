package config

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Effective is a configuration as it counts, with what each value comes from.
type Effective struct{ settings []setting }

// setting is one key's value and its source: default, FILE:LINE, environment
// NAME, or flag --NAME.
type setting struct {
	path   string
	value  *yaml.Node
	source string
}

// Effective loads the configuration as Load does, and tells all of it. Digests
// of API keys are withheld.
func (s Sources) Effective() (*Effective, error) {
	l, err := s.open()
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	c, err := l.load()
	if err != nil {
		return nil, err
	}
	e := new(Effective)
	for _, k := range keys() {
		value := written(k.in(c))
		if (k.path == "metrics_listen" || k.path == "admin_socket") && value.Value == "" {
			value.Value = off
		}
		e.settings = append(e.settings, setting{path: k.path, value: value, source: l.origin(k)})
	}
	return e, nil
}

// origin is the source of a setting, never that of one that it stands beside.
func (l *loader) origin(k key) string {
	if source := l.overFile(k); source != "" {
		return source
	}
	if l.file.sets(k.path) {
		return fmt.Sprintf("%s:%d", l.file.path, l.file.lines[k.path])
	}
	return "default"
}

// sets tells whether the file has a value for a key. An empty one is none.
func (f *file) sets(path string) bool {
	var at any = f.settings
	for name := range strings.SplitSeq(path, ".") {
		section, _ := at.(map[string]any)
		at = section[name]
	}
	return at != nil
}

// WriteYAML writes what is also a configuration file of the same meaning, each
// value with its source as a comment; paths are relative to the working directory.
func (e *Effective) WriteYAML(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	sections := map[string]*yaml.Node{"": root}
	for _, s := range e.settings {
		name, section := s.path, root
		for i, c := range s.path {
			if c == '.' {
				section = subsection(sections, s.path[:i])
				name = s.path[i+1:]
			}
		}
		s.value.LineComment = s.source
		section.Content = append(section.Content, scalarNode(name), s.value)
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return err
	}
	return enc.Close()
}

// subsection is the mapping at a path whose parents are there.
func subsection(sections map[string]*yaml.Node, path string) *yaml.Node {
	if sections[path] == nil {
		parent, name := "", path
		if i := strings.LastIndexByte(path, '.'); i >= 0 {
			parent, name = path[:i], path[i+1:]
		}
		sections[path] = &yaml.Node{Kind: yaml.MappingNode}
		sections[parent].Content = append(sections[parent].Content, scalarNode(name), sections[path])
	}
	return sections[path]
}

// WriteJSON writes one array of {key, value, source}, in the order of the
// manual.
func (e *Effective) WriteJSON(w io.Writer) error {
	type member struct {
		Key    string `json:"key"`
		Value  any    `json:"value"`
		Source string `json:"source"`
	}
	members := make([]member, len(e.settings))
	for i, s := range e.settings {
		members[i] = member{Key: s.path, Source: s.source}
		if err := s.value.Decode(&members[i].Value); err != nil {
			return err
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(members)
}

func scalarNode(s string) *yaml.Node {
	n := new(yaml.Node)
	n.SetString(s)
	return n
}

// written is a value in the form of the file. What is in a list stays on the
// line of its key, without what it leaves out.
func written(v reflect.Value) *yaml.Node {
	switch value := v.Interface().(type) {
	case time.Duration:
		return scalarNode(value.String())
	case fmt.Stringer:
		return scalarNode(value.String())
	}
	switch v.Kind() {
	case reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for i := range v.Len() {
			n.Content = append(n.Content, written(v.Index(i)))
		}
		return n
	case reflect.Struct:
		n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for i := range v.NumField() {
			if field := written(v.Field(i)); field.Value != "" || len(field.Content) > 0 {
				n.Content = append(n.Content, scalarNode(v.Type().Field(i).Tag.Get("mapstructure")), field)
			}
		}
		return n
	case reflect.String:
		return scalarNode(v.String())
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(v.Interface())}
	}
}
