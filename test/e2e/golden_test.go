package e2e

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// masks hide what differs from run to run.
var masks = []struct {
	pattern *regexp.Regexp
	mask    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`(127\.0\.0\.\d+):\d+`), "$1:PORT"},
	{regexp.MustCompile(`\.key\.pem\.\d+`), ".key.pem.N"},
	{regexp.MustCompile(`the key [A-Za-z0-9_-]{43}`), "the key KID"},
	{regexp.MustCompile(`key given is [A-Za-z0-9_-]{43}`), "key given is KID"},
}

// golden holds what people see against testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	for _, m := range masks {
		got = m.pattern.ReplaceAllString(got, m.mask)
	}
	file := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s does not exist (go test ./test/e2e -update makes it); got:\n%s", file, got)
	}
	must(t, err)
	if got != string(want) {
		t.Errorf("%s differs (go test ./test/e2e -update accepts it); got:\n%s\nwant:\n%s", file, got, want)
	}
}

func fileName(name string) string { return strings.ReplaceAll(name, " ", "-") + ".golden" }
