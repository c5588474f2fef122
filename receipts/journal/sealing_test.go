package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/receipts"
)

// sealed is the directory's sealed files, in order.
func sealed(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+sealedSuffix))
	if err != nil {
		t.Fatal(err)
	}
	for i := range paths {
		paths[i] = filepath.Base(paths[i])
	}
	return paths
}

func seal(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// exchanges makes n of them, and returns their ids.
func exchanges(t testing.TB, j *Journal, n int) (ids []string) {
	t.Helper()
	var commits []*Commit
	for i := range n {
		r := forward(draft(fmt.Sprintf("trace-%d", i%5)))
		ids = append(ids, r.ReceiptID)
		commits = append(commits, j.Finish(r))
	}
	for _, c := range commits {
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

func TestSealedFilesAndDatabaseAreOneChain(t *testing.T) {
	o := options(t.TempDir())
	o.Limits.SealSize = 100 << 10
	j := open(t, o)
	exchanges(t, j, 3)
	seal(t, j)
	if got := strings.Join(sealed(t, o.Dir), " "); got != "000001.jsonl.gz" {
		t.Errorf("after genesis, start and three receipts: %s", got)
	}
	seal(t, j) // there is nothing but the head
	exchanges(t, j, 100)
	seal(t, j)
	files := j.archive.list()
	if got := sealed(t, o.Dir); len(got) != 3 || len(files) != 3 || got[1] != "000005.jsonl.gz" || got[2] != files[2].name() {
		t.Errorf("after 100 more: %s, and listed %+v", got, files)
	}
	exchanges(t, j, 2)
	if c := verify(t, j); len(c.receipts) != 105 {
		t.Errorf("%d receipts", len(c.receipts))
	}
	for _, from := range []int64{1, 4, 5, 6, files[1].Last, files[2].First, files[2].Last, files[2].Last + 1} {
		wantRange(t, j, from)
	}
	closeJournal(t, j)

	r, err := OpenReader(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, r)
	wantRange(t, r, 60)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, o)
	defer closeJournal(t, j)
	exchanges(t, j, 10)
	seal(t, j)
	verify(t, j)
}

// wantRange reads from the record from on.
func wantRange(t *testing.T, from interface {
	ranger
	Head() Head
}, first int64,
) {
	t.Helper()
	next := first
	err := from.Range(t.Context(), first, func(seq int64, line []byte) error {
		rec, err := receipts.Decode(line)
		if err == nil && (seq != next || rec.RecordHead().Chain.Seq != next) {
			err = fmt.Errorf("record %d is handed out as %d where %d should come", rec.RecordHead().Chain.Seq, seq, next)
		}
		next++
		return err
	})
	if err != nil || next != from.Head().Seq+1 {
		t.Errorf("from %d on, to %d: %v", first, next-1, err)
	}
}

// Sealing by size needs no request, and makes place that is used again.
func TestSealingKeepsTheDatabaseSmall(t *testing.T) {
	o := options(t.TempDir())
	o.Limits.SealSize = 64 << 10
	j := open(t, o)
	defer closeJournal(t, j)
	var size int64
	for round := range 8 {
		exchanges(t, j, 100) // more than two files
		sealedThrough(t, j, int64(round*100))
		if round == 3 {
			size = fileSize(t, o.Dir)
		}
	}
	if got := fileSize(t, o.Dir); got > size+chunk {
		t.Errorf("the database has %d bytes, after a fourth of the records it had %d", got, size)
	}
	verify(t, j)
}

// sealedThrough waits until the records to seq are sealed.
func sealedThrough(t *testing.T, j *Journal, seq int64) {
	t.Helper()
	for j.archive.last().Last < seq {
		if err := j.Err(); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

func fileSize(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestSealingByAge(t *testing.T) {
	o := options(t.TempDir())
	o.Limits.SealAge = time.Millisecond
	o.hooks.seal = time.Millisecond
	j := open(t, o)
	defer closeJournal(t, j)
	exchanges(t, j, 5)
	sealedThrough(t, j, 6)
	verify(t, j)
}
