package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// key is one setting, as Config declares it.
type key struct {
	path  string // as in the file, with dots
	field []int  // in Config
	tag   reflect.StructTag
}

// keys lists the settings in the order of their declaration.
func keys() []key { return keysOf(reflect.TypeFor[Config](), "", nil) }

func keysOf(t reflect.Type, prefix string, at []int) []key {
	var all []key
	for i := range t.NumField() {
		f := t.Field(i)
		path, field := prefix+f.Tag.Get("mapstructure"), append(slices.Clone(at), i)
		if f.Type.Kind() == reflect.Struct && !scalarType(f.Type) {
			all = append(all, keysOf(f.Type, path+".", field)...)
			continue
		}
		all = append(all, key{path: path, field: field, tag: f.Tag})
	}
	return all
}

// env is the environment's name for the setting.
func (k key) env() string {
	return "SIGNET_" + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

func (k key) in(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(k.field) }

// outside says how the setting's value exceeds its limits, if it does.
func (k key) outside(c *Config) error {
	least, most := k.tag.Get("min"), k.tag.Get("max")
	if least == "" {
		return nil
	}
	v := k.in(c)
	for _, limit := range []string{least, most} {
		bound, err := scalar(limit, v.Type())
		if err != nil {
			return err
		}
		if d := v.Int() - reflect.ValueOf(bound).Int(); limit == least && d < 0 || limit == most && d > 0 {
			return fmt.Errorf("%v is outside of %s to %s", v.Interface(), least, most)
		}
	}
	return nil
}

// children are the names that a mapping of type t may hold.
func children(t reflect.Type) map[string]reflect.Type {
	names := make(map[string]reflect.Type)
	for i := range t.NumField() {
		names[t.Field(i).Tag.Get("mapstructure")] = t.Field(i).Type
	}
	return names
}

// suggest is the known setting that somebody who wrote name under prefix most
// likely meant, with its whole path; "" where none is near.
func suggest(prefix, name string, siblings map[string]reflect.Type) string {
	best, least := "", max(2, len(name)/3)+1
	for sibling := range siblings {
		d := distance(strings.ToLower(name), sibling)
		if d < least || d == least && sibling < best {
			best, least = prefix+sibling, d
		}
	}
	if best != "" || strings.Contains(prefix, "[") {
		return best
	}
	for _, k := range keys() {
		if k.path == name || strings.HasSuffix(k.path, "."+name) {
			return k.path
		}
	}
	return ""
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitution := diagonal
			if a[i] != b[j] {
				substitution++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitution, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
