package supply

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestVuln runs test/vuln on a program that parses a URL, against databases in
// the form of go.dev/doc/security/vuln/database.
func TestVuln(t *testing.T) {
	if testing.Short() {
		t.Skip("builds govulncheck, which takes a while")
	}
	program := t.TempDir()
	write(t, filepath.Join(program, "go.mod"), "module example.com/program\n\ngo 1.26\n")
	write(t, filepath.Join(program, "main.go"), `package main

import "net/url"

func main() { _, _ = url.Parse("https://example.com/") }
`)
	for _, tt := range []struct {
		name, db string
		status   int
		says     string
	}{
		{"in what is not reached", database(t, "ParseQuery"), 0, "No vulnerabilities found"},
		{"in what is reached", database(t, "Parse"), 3, "GO-2026-0001"},
		{"no such directory", filepath.Join(t.TempDir(), "missing"), 4, "NOT CHECKED"},
		{"a directory that is none", t.TempDir(), 4, "NOT CHECKED"},
		{"nobody answers", "http://127.0.0.1:1/", 4, "NOT CHECKED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			script, err := filepath.Abs("../vuln")
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), script)
			cmd.Dir = program
			cmd.Env = append(os.Environ(), "VULNDB="+tt.db)
			out, err := cmd.CombinedOutput()
			status := 0
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				status = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if status != tt.status || !strings.Contains(string(out), tt.says) {
				t.Errorf("exit status %d, want %d and %q:\n%s", status, tt.status, tt.says, out)
			}
		})
	}
}

// database is one that knows of one vulnerability, in a function of net/url.
func database(t *testing.T, function string) string {
	t.Helper()
	dir := t.TempDir()
	const modified = "2026-11-01T00:00:00Z"
	type object = map[string]any
	const id = "GO-2026-0001"
	writeJSON(t, filepath.Join(dir, "ID", id+".json"), object{
		"schema_version": "1.3.1", "id": id, "modified": modified, "published": modified, "summary": "A test in net/url",
		"affected": []object{{
			"package":            object{"name": "stdlib", "ecosystem": "Go"},
			"ranges":             []object{{"type": "SEMVER", "events": []object{{"introduced": "0"}}}},
			"ecosystem_specific": object{"imports": []object{{"path": "net/url", "symbols": []string{function}}}},
		}},
		"database_specific": object{"url": "https://example.com/" + id},
	})
	writeJSON(t, filepath.Join(dir, "index", "db.json"), object{"modified": modified})
	writeJSON(t, filepath.Join(dir, "index", "modules.json"), []object{{"path": "stdlib", "vulns": []object{{"id": id, "modified": modified}}}})
	writeJSON(t, filepath.Join(dir, "index", "vulns.json"), []object{{"id": id, "modified": modified}})
	return dir
}

func writeJSON(t *testing.T, path string, v any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(data))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
