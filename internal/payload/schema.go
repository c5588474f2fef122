package payload

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/signet-egress/signet/internal/jsonx"
)

// draft is the one version of JSON Schema that schemas are written in.
const draft = "https://json-schema.org/draft/2020-12/schema"

// schemaBase is where the directory's schemas are for references between them.
const schemaBase = "policy:///"

// schemas compiles the schemas of a policy directory. Nothing is ever fetched:
// a reference leads to another file of the directory, or is an error.
type schemas struct {
	compiler *jsonschema.Compiler
	compiled map[string]*schema
	known    map[string]bool // names of files
}

// schema is one compiled schema.
type schema struct {
	validator *jsonschema.Schema
	shape     *shape // nil: none
}

// noLoader refuses what is not in the directory.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is not a schema of this directory, and nothing is fetched from elsewhere", strings.TrimPrefix(url, schemaBase))
}

// newSchemas takes the *.json files of a policy directory. The errors are one a
// file that is no schema.
func newSchemas(files []File) (*schemas, []error) {
	s := &schemas{compiler: jsonschema.NewCompiler(), compiled: make(map[string]*schema), known: make(map[string]bool)}
	s.compiler.DefaultDraft(jsonschema.Draft2020)
	s.compiler.AssertFormat()
	s.compiler.UseLoader(noLoader{})
	var errs []error
	for _, f := range files {
		s.known[f.Path] = true
		if err := s.add(f); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Path, err))
		}
	}
	return s, errs
}

func (s *schemas) add(f File) error {
	root, err := jsonx.Parse(f.Data, jsonx.Options{})
	if err != nil {
		return fmt.Errorf("not valid JSON %w", err)
	}
	if version := root.Get("$schema"); version != nil && strings.TrimSuffix(version.Text, "#") != draft {
		return fmt.Errorf("$schema is %q, and schemas are in JSON Schema 2020-12: write %q, or leave it out", version.Text, draft)
	}
	doc := schemaValue(root)
	if err := s.compiler.AddResource(schemaBase+f.Path, doc); err != nil {
		return err
	}
	if id := root.Get("$id"); id != nil && strings.Contains(id.Text, "://") {
		return s.compiler.AddResource(id.Text, doc)
	}
	return nil
}

// compile is the schema of a file.
func (s *schemas) compile(name string) (*schema, error) {
	if c := s.compiled[name]; c != nil {
		return c, nil
	}
	if !s.known[name] {
		return nil, fmt.Errorf("%s is not there; schemas are *.json files of a policy directory, beside its *.yaml files", name)
	}
	c, err := s.compiler.Compile(schemaBase + name)
	if err != nil {
		return nil, fmt.Errorf("%s is not a schema: %w", name, err)
	}
	s.compiled[name] = &schema{validator: c, shape: shapeOf(c)}
	return s.compiled[name], nil
}

// memberNames are the names of members that a schema speaks of, which are names
// that its contract uses.
func memberNames(s *jsonschema.Schema) []string {
	var names []string
	seen := make(map[*jsonschema.Schema]bool)
	var visit func(...*jsonschema.Schema)
	visit = func(list ...*jsonschema.Schema) {
		for _, s := range list {
			if s == nil || seen[s] {
				continue
			}
			seen[s] = true
			names = append(names, s.Required...)
			names = slices.AppendSeq(names, maps.Keys(s.Properties))
			for name, others := range s.DependentRequired {
				names = append(append(names, name), others...)
			}
			names = slices.AppendSeq(names, maps.Keys(s.DependentSchemas))
			visit(s.Ref, s.Not, s.If, s.Then, s.Else, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems)
			visit(slices.Concat(s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems)...)
			visit(slices.Collect(maps.Values(s.Properties))...)
			visit(slices.Collect(maps.Values(s.PatternProperties))...)
			visit(slices.Collect(maps.Values(s.DependentSchemas))...)
			if more, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
				visit(more)
			}
			if s.DynamicRef != nil {
				visit(s.DynamicRef.Ref)
			}
		}
	}
	visit(s)
	return names
}

// schemaValue is a document as the validator takes it; numbers stay text.
func schemaValue(v *jsonx.Value) any {
	switch v.Kind {
	case jsonx.True, jsonx.False:
		return v.Kind == jsonx.True
	case jsonx.Number:
		return json.Number(v.Text)
	case jsonx.String:
		return v.Text
	case jsonx.Array:
		list := make([]any, len(v.Items))
		for i := range v.Items {
			list[i] = schemaValue(&v.Items[i])
		}
		return list
	case jsonx.Object:
		object := make(map[string]any, len(v.Items))
		for i := range v.Items {
			object[v.Items[i].Name] = schemaValue(&v.Items[i])
		}
		return object
	}
	return nil
}

// mostMistakes is how many of a document's mistakes the agent is told.
const mostMistakes = 5

// validate returns what a document has wrong, for the agent, and where and by
// which keyword, for logs: values are the agent's alone.
func validate(s *schema, v *jsonx.Value) (detail string, where error) {
	if s.shape != nil && s.shape.accepts(v) {
		return "", nil
	}
	err := s.validator.Validate(schemaValue(v))
	if err == nil {
		return "", nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return "the body could not be held against the schema", err
	}
	mistakes := mistakesIn(invalid)
	details, places := make([]string, len(mistakes)), make([]string, len(mistakes))
	printer := message.NewPrinter(language.English)
	for i, m := range mistakes {
		details[i] = m.at + ": " + mistake(m.kind, printer)
		places[i] = m.at + " (" + m.keyword + ")"
	}
	return strings.Join(details, "; "), errors.New("schema: " + strings.Join(places, ", "))
}

// misfit is a value that a keyword does not take.
type misfit struct {
	at, keyword string
	kind        jsonschema.ErrorKind
}

// mistakesIn are the first of all that is wrong, by place and keyword: the
// validator finds members in no order.
func mistakesIn(e *jsonschema.ValidationError) []misfit {
	var found []misfit
	eachMistake(e, func(e *jsonschema.ValidationError) {
		at := cmp.Or(jsonx.Pointer(e.InstanceLocation).String(), "the body")
		found = append(found, misfit{at, strings.Join(e.ErrorKind.KeywordPath(), "/"), e.ErrorKind})
	})
	slices.SortFunc(found, func(a, b misfit) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.keyword, b.keyword))
	})
	return found[:min(len(found), mostMistakes)]
}

// mistake says what is wrong; numbers as they are, which the validator would show
// as doubles.
func mistake(k jsonschema.ErrorKind, printer *message.Printer) string {
	switch k := k.(type) {
	case *kind.Minimum:
		return outside("minimum", k.Got, k.Want)
	case *kind.Maximum:
		return outside("maximum", k.Got, k.Want)
	case *kind.ExclusiveMinimum:
		return outside("exclusiveMinimum", k.Got, k.Want)
	case *kind.ExclusiveMaximum:
		return outside("exclusiveMaximum", k.Got, k.Want)
	case *kind.MultipleOf:
		return outside("multipleOf", k.Got, k.Want)
	case *kind.AdditionalProperties:
		slices.Sort(k.Properties)
	}
	return k.LocalizedString(printer)
}

func outside(keyword string, got, want *big.Rat) string {
	return fmt.Sprintf("%s: got %s, want %s", keyword, exactly(got), exactly(want))
}

func exactly(r *big.Rat) string {
	digits, _ := r.FloatPrec() // every number of JSON has finitely many
	return r.FloatString(digits)
}

// eachMistake visits the innermost causes.
func eachMistake(e *jsonschema.ValidationError, visit func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		visit(e)
	}
	for _, cause := range e.Causes {
		eachMistake(cause, visit)
	}
}
