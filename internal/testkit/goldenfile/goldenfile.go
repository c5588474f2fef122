// Package goldenfile holds what people see against files under testdata. It is a
// package of its own for the flag -update, which only tests that use it have.
package goldenfile

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Compare holds got against testdata/name, which -update writes.
func Compare(t testing.TB, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		write(t, file, got)
		return
	}
	want, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.Fatalf("%s does not exist (-update writes it); got:\n%s", file, got)
	case err != nil:
		t.Fatal(err)
	case got != string(want):
		t.Errorf("%s differs (-update accepts it); got:\n%s\nwant:\n%s", file, got, want)
	}
}

func write(t testing.TB, file, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
