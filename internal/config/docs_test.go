package config

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
)

const (
	docsFile  = "../../docs/configuration.md"
	docsBegin = "<!-- from internal/config/config.go; go test ./internal/config -update -->\n"
	docsEnd   = "<!-- end -->\n"
)

// TestDocs holds the key list of docs/configuration.md against the Config
// struct: each key with its default, unit, limits and reason.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(page, []byte(docsBegin))
	_, after, closed := bytes.Cut(rest, []byte(docsEnd))
	if !ok || !closed {
		t.Fatalf("%s lacks the marks %q and %q", docsFile, docsBegin, docsEnd)
	}
	want := bytes.Join([][]byte{before, []byte(docsBegin), []byte(reference(t)), []byte(docsEnd), after}, nil)
	if *update {
		if err := os.WriteFile(docsFile, want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(page, want) {
		t.Errorf("%s is behind config.go: run go test ./internal/config -update", docsFile)
	}
}

func reference(t *testing.T) string {
	t.Helper()
	comments := fieldComments(t)
	var b strings.Builder
	for _, k := range keys() {
		meaning := comments[k.path]
		if meaning == "" || k.tag.Get("unit") == "" {
			t.Errorf("%s has no comment or no unit", k.path)
		}
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n\n%s\n", k.path, meaning, facts(k))
	}
	b.WriteByte('\n')
	return b.String()
}

func facts(k key) string {
	facts := []string{"Type: " + k.tag.Get("unit")}
	if value := k.tag.Get("default"); value != "" {
		facts = append(facts, "default: "+code(value))
	}
	if least := k.tag.Get("min"); least != "" {
		facts = append(facts, "from "+code(least)+" to "+code(k.tag.Get("max")))
	}
	return strings.Join(append(facts, "environment: "+code(k.env())), " · ")
}

func code(s string) string { return "`" + s + "`" }

// fieldComments has the comment of each key's field, as one paragraph of text.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	structs := make(map[string]*ast.StructType)
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			structs[spec.Name.Name], _ = spec.Type.(*ast.StructType)
		}
		return true
	})
	comments := make(map[string]string)
	collect(structs, structs["Config"], "", comments)
	return comments
}

func collect(structs map[string]*ast.StructType, s *ast.StructType, prefix string, comments map[string]string) {
	for _, field := range s.Fields.List {
		tag := reflect.StructTag(strings.Trim(field.Tag.Value, "`"))
		path := prefix + tag.Get("mapstructure")
		if name, ok := field.Type.(*ast.Ident); ok && structs[name.Name] != nil {
			collect(structs, structs[name.Name], path+".", comments)
			continue
		}
		var p comment.Parser
		printer := comment.Printer{TextWidth: -1}
		comments[path] = strings.TrimSpace(string(printer.Text(p.Parse(field.Doc.Text()))))
	}
}
