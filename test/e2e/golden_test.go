package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit/goldenfile"
)

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
	goldenfile.Compare(t, name, got)
}

func fileName(name string) string { return strings.ReplaceAll(name, " ", "-") + ".golden" }
