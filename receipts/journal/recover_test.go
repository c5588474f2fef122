package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/receipts"
)

// sealedJournal has three sealed files, some records in the database, and an
// exchange that is open.
func sealedJournal(t *testing.T) (dir string, files []sealedFile) {
	t.Helper()
	o := options(t.TempDir())
	o.Limits.SealSize = 60 << 10
	j := open(t, o)
	exchanges(t, j, 100)
	seal(t, j)
	exchanges(t, j, 5)
	begin(t, j, draft("open"))
	files = j.archive.list()
	crash(t, j)
	if len(files) != 3 {
		t.Fatalf("%d sealed files: %+v", len(files), files)
	}
	return o.Dir, files
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 0x55
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	some   = -1
	fileAt = 1 << 20
	second = "second"
)

// TestRecover damages a journal in every way, and holds against each other what
// is said of it, that nothing goes on by itself, and how the chain goes on.
func TestRecover(t *testing.T) {
	for _, tt := range []struct {
		name    string
		damage  func(t *testing.T, dir string, files []sealedFile)
		opens   bool   // the damage shows only when the file is read
		says    string // what the survey says of it
		file    string // which it names
		runs    int    // that are proved then
		lost    int64  // records that the gap events own up to; some, or the file of that index
		unknown int    // exchanges that were open and are put on record
	}{
		{
			name: "a sealed file is missing", says: "missing", file: second, runs: 2, lost: fileAt + 1, unknown: 1,
			damage: func(t *testing.T, dir string, files []sealedFile) { remove(t, filepath.Join(dir, files[1].name())) },
		},
		{
			name: "the first sealed file is missing", says: "missing", file: "000001.jsonl.gz", runs: 1, lost: fileAt, unknown: 1,
			damage: func(t *testing.T, dir string, _ []sealedFile) { remove(t, filepath.Join(dir, "000001.jsonl.gz")) },
		},
		{
			name: "a sealed file is cut off", says: "cannot be read", file: second, runs: 2, lost: some, unknown: 1,
			damage: func(t *testing.T, dir string, files []sealedFile) {
				if err := os.Truncate(filepath.Join(dir, files[1].name()), files[1].Bytes/2); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "a byte of a sealed file", opens: true, says: "", file: second, runs: some, lost: some, unknown: 1,
			damage: func(t *testing.T, dir string, files []sealedFile) {
				flip(t, filepath.Join(dir, files[1].name()), int(files[1].Bytes/2))
			},
		},
		{
			name: "a record of a sealed file is another one", opens: true, says: "hash", file: second, runs: 2, lost: 1, unknown: 1,
			damage: func(t *testing.T, dir string, files []sealedFile) { rewrite(t, dir, &files[1]) },
		},
		{
			name: "the database's meta pages", says: "meta page", file: fileName, runs: 1, lost: 0, unknown: 0,
			damage: func(t *testing.T, dir string, _ []sealedFile) { overwrite(t, dir, 0, 2*4096) },
		},
		{
			name: "the database is cut off", says: "cut off", file: fileName, runs: 1, lost: some, unknown: 0,
			damage: func(t *testing.T, dir string, _ []sealedFile) {
				if err := os.Truncate(filepath.Join(dir, fileName), 2*4096); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "a record of the database", says: "missing", file: fileName, runs: 2, lost: 1, unknown: 1,
			damage: func(t *testing.T, dir string, files []sealedFile) {
				edit(t, dir, func(tx *bbolt.Tx) error {
					k := seqKey(files[2].Last + 3)
					return tx.Bucket(recordsBucket).Delete(k[:])
				})
				overwriteFree(t, dir)
			},
		},
		{
			name: "a collector has seen more", says: "acknowledged record 150", file: ackName, runs: 1, lost: 43, unknown: 1,
			damage: func(t *testing.T, dir string, _ []sealedFile) { acknowledge(t, dir, 150) },
		},
		{
			name: "a collector has seen another chain", says: "chain", file: ackName, runs: 1, lost: 0, unknown: 1,
			damage: func(t *testing.T, dir string, _ []sealedFile) {
				if err := os.WriteFile(filepath.Join(dir, ackName), ackOf(NewReceiptID(), 7, anyDigest), 0o600); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, files := sealedJournal(t)
			tt.damage(t, dir, files)
			s := examineRefused(t, dir, tt.opens)
			if tt.file == second {
				tt.file = files[1].name()
			}
			if len(s.Damage) == 0 || !strings.Contains(s.Damage[0].Err.Error(), tt.says) || filepath.Base(s.Damage[0].Path) != tt.file || len(s.Proved) != tt.runs && tt.runs != some {
				t.Errorf("the survey says %+v, and proved is %+v", s.Damage, s.Proved)
			}
			_, lost, err := Recover(t.Context(), options(dir), nil)
			if err != nil {
				t.Fatal(err)
			}
			n := int64(0)
			for _, l := range lost {
				if l.First > 0 {
					n += l.Last - l.First + 1
				}
			}
			want := lostOf(tt.lost, files)
			if n != want && want != some || n == 0 && len(s.Proved) > 1 {
				t.Errorf("lost: %+v, which is %d records, want %d", lost, n, want)
			}
			goesOn(t, dir, len(lost), tt.unknown)
		})
	}
}

// examineRefused examines a journal that does not open, unless its damage shows
// only when it is read.
func examineRefused(t *testing.T, dir string, opens bool) *Survey {
	t.Helper()
	if !opens {
		if j, err := Open(context.Background(), options(dir)); err == nil {
			closeJournal(t, j)
			t.Fatal("it opens as if nothing were")
		}
	}
	s, err := Examine(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lostOf is how many records a table says that are lost.
func lostOf(lost int64, files []sealedFile) int64 {
	if lost < fileAt {
		return lost
	}
	f := &files[lost-fileAt]
	return f.Last - f.First + 1
}

// goesOn starts a sidecar's journal on what a recovery has left.
func goesOn(t *testing.T, dir string, gaps, unknown int) {
	t.Helper()
	j := open(t, options(dir))
	exchanges(t, j, 3)
	seal(t, j)
	last := j.Head()
	closeJournal(t, j)
	s, err := Examine(t.Context(), dir, nil)
	if err != nil || !s.Whole() {
		t.Fatalf("after the recovery: %+v, %v", s, err)
	}
	if seq, _ := s.Last(); seq <= last.Seq-1 {
		t.Errorf("proved to %d, and the head was %d", seq, last.Seq)
	}
	if _, _, err := Recover(t.Context(), options(dir), nil); !errors.Is(err, ErrNothingToRecover) {
		t.Errorf("a second recovery: %v", err)
	}
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen := map[receipts.Outcome]int{}
	owned := 0
	err = r.Range(t.Context(), 1, func(_ int64, line []byte) error {
		rec, err := receipts.Decode(line)
		switch rec := rec.(type) {
		case *receipts.Receipt:
			seen[rec.Outcome]++
		case *receipts.Event:
			if rec.Gap != nil && rec.Gap.Lost != nil {
				owned++
			}
		}
		return err
	})
	if err != nil || owned != gaps || seen[receipts.Unknown] != unknown {
		t.Errorf("%v; %d gap events own up to a loss, want %d; outcomes %v, want %d unknown", err, owned, gaps, seen, unknown)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, dir string, from, to int) {
	t.Helper()
	path := filepath.Join(dir, fileName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[from:to], bytes.Repeat([]byte{0xa5}, to-from))
	write(t, dir, data)
}

// overwriteFree takes away what pages that are no longer in use still say.
func overwriteFree(t *testing.T, dir string) {
	t.Helper()
	old, tmp := filepath.Join(dir, fileName), filepath.Join(t.TempDir(), "compact.db")
	src, err := bbolt.Open(old, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	dst, err := bbolt.Open(tmp, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(bbolt.Compact(dst, src, 0), src.Close(), dst.Close()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(tmp)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, data)
}

// rewrite changes one member of the record in a file's middle.
func rewrite(t *testing.T, dir string, f *sealedFile) {
	t.Helper()
	path := filepath.Join(dir, f.name())
	var lines [][]byte
	if err := eachSealed(path, f.First, func(_ int64, line []byte) error {
		lines = append(lines, bytes.Clone(line))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	lines[20] = bytes.Replace(lines[20], []byte(`"billing-agent"`), []byte(`"billing-agenT"`), 1)
	var out bytes.Buffer
	if err := compress(&out, func(put func([]byte) error) error {
		for _, line := range lines {
			if err := put(line); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f.Bytes = int64(out.Len())
	edit(t, dir, func(tx *bbolt.Tx) error {
		key := seqKey(f.First)
		return tx.Bucket(sealedBucket).Put(key[:], fmt.Appendf(nil, `{"first":%d,"last":%d,"hash":%q,"ts":"2026-11-26T00:00:00Z","bytes":%d}`, f.First, f.Last, f.Hash, f.Bytes))
	})
}

func acknowledge(t *testing.T, dir string, seq int64) {
	t.Helper()
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	chain := r.Head().Chain
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ackName), ackOf(chain, seq, anyDigest), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRecoverFromRollback puts back an older database, as a snapshot of a volume
// does: the checkpoint beside it shows that, and how far the chain had come.
func TestRecoverFromRollback(t *testing.T) {
	dir := closedJournal(t)
	old, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	j := open(t, options(dir))
	before := j.Head().Seq - 1 // the start event is of this run
	exchanges(t, j, 10)
	closeJournal(t, j)
	last := j.Head().Seq
	write(t, dir, old)
	if _, err := Open(t.Context(), options(dir)); !is[*RolledBackError](err) || !strings.Contains(err.Error(), "signet journal recover") {
		t.Fatalf("an older database: %v", err)
	}
	_, lost, err := Recover(t.Context(), options(dir), nil)
	if err != nil || len(lost) != 1 || lost[0] != (receipts.Lost{Cause: receipts.LossRollback, First: before + 1, Last: last}) {
		t.Fatalf("%+v, %v; want the records %d to %d", lost, err, before+1, last)
	}
	goesOn(t, dir, 1, 0)
}
