package repair

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/jsonx"
)

var (
	documents = flag.Int("repair.documents", 150, "how many documents the repair corpus is made from; the table is of 10,000")
	update    = flag.Bool("update", false, "write the golden table anew; with -repair.documents=10000")
)

// row counts what became of the texts of one class.
type row struct {
	name                             string
	texts, exact, different, refused int
}

// TestCorpus spoils documents in every way of the classes. What can have been
// one document only is repaired to exactly that; nothing ever to another.
func TestCorpus(t *testing.T) {
	digest := sha256.New()
	var table strings.Builder
	fmt.Fprintf(&table, "%-46s %6s %6s %7s %9s %8s\n", "must be repaired", "texts", "exact", "exact%", "different", "refused")
	for _, c := range mustBeRepaired {
		r := spoilAll(t, c, digest)
		writeRow(&table, r)
		if r.exact*100 < r.texts*97 {
			t.Errorf("%s: %d of %d are repaired; at least 97%% must be", r.name, r.exact, r.texts)
		}
	}
	fmt.Fprintf(&table, "\n%-46s %6s %6s %7s %9s %8s\n", "must be refused", "texts", "", "", "repaired", "refused")
	for _, c := range mustBeRefused {
		r := spoilAll(t, c, digest)
		fmt.Fprintf(&table, "%-46s %6d %6s %7s %9d %8d\n", r.name, r.texts, "", "", r.exact+r.different, r.refused)
		if r.refused != r.texts {
			t.Errorf("%s: %d of %d are refused; all must be", r.name, r.refused, r.texts)
		}
	}
	fmt.Fprintf(&table, "\n%-46s %6s %6s %7s %9s %8s\n", "may be either", "texts", "exact", "exact%", "different", "refused")
	for _, c := range mayBeEither {
		writeRow(&table, spoilAll(t, c, digest))
	}
	fmt.Fprintf(&table, "\n%d documents, seed 1; SHA-256 of all texts %s\n", *documents, hex.EncodeToString(digest.Sum(nil)))
	golden(t, table.String())
}

func writeRow(table *strings.Builder, r row) {
	fmt.Fprintf(table, "%-46s %6d %6d %6.2f%% %9d %8d\n", r.name, r.texts, r.exact, 100*float64(r.exact)/float64(r.texts), r.different, r.refused)
}

// golden compares the table of the whole corpus, which takes a flag.
func golden(t *testing.T, table string) {
	t.Helper()
	path := filepath.Join("testdata", "table.txt")
	switch {
	case *documents != 10_000:
		t.Log("\n" + table)
		return
	case *update:
		if err := os.WriteFile(path, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Print(table)
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if table != string(want) {
		t.Errorf("the table is not the one of %s; where that is right, run with -update", path)
	}
}

// spoilAll spoils every document in one way. All classes have the same documents.
func spoilAll(t *testing.T, c class, digest hash.Hash) row {
	t.Helper()
	r := row{name: c.name}
	for seed := range uint64(*documents) {
		a := newAuthor(seed + 1<<32)
		d := a.document()
		text, ok := c.spoil(a, d)
		if !ok {
			continue
		}
		if _, err := jsonx.Parse([]byte(text), jsonx.Options{}); err == nil {
			continue // still valid: not this package's
		}
		fmt.Fprintf(digest, "%d %s", len(text), text)
		r.texts++
		result, err := Local([]byte(text), Limits{})
		switch {
		case err != nil:
			if r.refused++; r.refused <= 2 && testing.Verbose() && *documents != 10_000 {
				t.Logf("%s: %v\n%s", c.name, err, text)
			}
		case jsonx.Equal(result.Value, &d.value):
			r.exact++
		default:
			if r.different++; r.different <= 3 {
				t.Errorf("%s: another document:\n%s\nis repaired to\n%s\nand was\n%s", c.name, text, result.Text, d.text())
			}
		}
	}
	if r.texts == 0 {
		t.Errorf("%s: no document can go wrong this way", c.name)
	}
	return r
}
