package httpapi_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/signet-egress/signet/internal/collector/httpapi"
)

// document is what the tests read of openapi.yaml.
type document struct {
	Paths map[string]map[string]operation `yaml:"paths"`
}

type operation struct {
	Scope      string `yaml:"x-scope"`
	Parameters []struct{ Name, In string }
	Responses  map[string]struct {
		Content map[string]struct{ Schema map[string]any }
	}
}

func readDocument(t *testing.T) (d document, schemas *jsonschema.Compiler) {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var whole any
	for _, into := range []any{&d, &whole} {
		if err := yaml.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	schemas = jsonschema.NewCompiler()
	schemas.DefaultDraft(jsonschema.Draft2020)
	schemas.AssertFormat()
	if err := schemas.AddResource("openapi.json", whole); err != nil {
		t.Fatal(err)
	}
	return d, schemas
}

// The document has every endpoint with its scope, and no other.
func TestDocumentHasEveryEndpoint(t *testing.T) {
	d, _ := readDocument(t)
	documented := map[string]string{}
	for path, operations := range d.Paths {
		for method, o := range operations {
			documented[strings.ToUpper(method)+" "+path] = o.Scope
		}
	}
	if served := httpapi.Endpoints(); !maps.Equal(served, documented) {
		t.Errorf("served\n%v\ndocumented\n%v", served, documented)
	}
}

// Each operation answers, to its documented parameters and to no other, with what
// its schema says.
func TestAnswersAreAsDocumented(t *testing.T) { onEach(t, testAnswersAreAsDocumented) }

func testAnswersAreAsDocumented(t *testing.T, w *world) {
	d, schemas := readDocument(t)
	c := w.chain("a.example", "b.example")
	ids := map[string]string{
		"/v1/receipts/{id}": c.ReceiptAt(2).ReceiptID, "/v1/traces/{id}": "trace-a.example",
		"/v1/chains/{id}": c.ID, "/v1/chains/{id}/records": c.ID, "/v1/chains/{id}/forks": c.ID,
	}
	paths := slices.DeleteFunc(slices.Sorted(maps.Keys(d.Paths)), func(path string) bool {
		_, get := d.Paths[path]["get"]
		return !get || strings.HasPrefix(path, "/v1/log/") && path != "/v1/log/entries" && path != "/v1/log/key" && path != "/v1/log/witnesses" // held by the tests of proofs
	})
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			o := d.Paths[path]["get"]
			target := strings.Replace(path, "{id}", ids[path], 1)
			w.answersAs(t, schemas, target, path, o)
			if o.Scope != "" {
				w.takesParameters(t, target, o)
			}
		})
	}
	resp, text := w.do(http.MethodGet, "/v1/nothing", acme, nil)
	wantSchema(t, schemas, "#/components/schemas/Problem", text)
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("an endpoint that is not there: %s", resp.Status)
	}
	for path, operations := range d.Paths {
		allowed := strings.ToUpper(strings.Join(slices.Sorted(maps.Keys(operations)), ", "))
		if allowed == http.MethodGet {
			allowed += ", " + http.MethodHead
		}
		resp, text := w.do(http.MethodDelete, path, acme, nil)
		wantSchema(t, schemas, "#/components/schemas/Problem", text)
		if got := resp.Header.Get("Allow"); resp.StatusCode != http.StatusMethodNotAllowed || got != allowed {
			t.Errorf("DELETE %s: %s, allowed is %q", path, resp.Status, got)
		}
	}
}

func (w *world) answersAs(t *testing.T, schemas *jsonschema.Compiler, target, path string, o operation) {
	t.Helper()
	resp, body := w.do(http.MethodGet, target, acme, nil)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %s", target, resp.Status, body)
	}
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	content, ok := o.Responses["200"].Content[media]
	if !ok {
		t.Fatalf("it answers with %s, which is not documented", media)
	}
	if media == "application/json" {
		wantSchema(t, schemas, content.Schema["$ref"].(string), body)
	}
	if !w.seen[path+" 200"] {
		t.Errorf("it is not counted as %s", path)
	}
}

func (w *world) takesParameters(t *testing.T, target string, o operation) {
	t.Helper()
	var names []string
	for _, p := range o.Parameters {
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	resp, body := w.do(http.MethodGet, target+"?misspelt=1", acme, nil)
	want := fmt.Sprintf("there are %s", strings.Join(names, ", "))
	if len(names) == 0 {
		want = "there are none"
	}
	if resp.StatusCode != http.StatusBadRequest || !bytes.Contains(body, []byte(want)) {
		t.Errorf("a parameter that is not documented: %s %s, want %q", resp.Status, body, want)
	}
}

func wantSchema(t *testing.T, schemas *jsonschema.Compiler, ref string, body []byte) {
	t.Helper()
	schema, err := schemas.Compile("openapi.json" + ref)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s: %v\n%s", ref, err, body)
	}
}
