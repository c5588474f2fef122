package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// TestWhatIsRefusedIsRecovered damages what no record depends on, or not at once.
// Whatever a start refuses, a survey names, and a recovery takes: no state of the
// directory is a dead end, and no record is lost that stands anywhere.
func TestWhatIsRefusedIsRecovered(t *testing.T) {
	type damage = func(t *testing.T, dir string, files []sealedFile)
	bucket := func(name, key []byte, value string) damage {
		return func(t *testing.T, dir string, _ []sealedFile) {
			edit(t, dir, func(tx *bbolt.Tx) error { return tx.Bucket(name).Put(key, []byte(value)) })
		}
	}
	without := func(name []byte) damage {
		return func(t *testing.T, dir string, _ []sealedFile) {
			edit(t, dir, func(tx *bbolt.Tx) error { return tx.DeleteBucket(name) })
		}
	}
	copyTo := func(first func(files []sealedFile) int64) damage {
		return func(t *testing.T, dir string, files []sealedFile) {
			put(t, filepath.Join(dir, sealedName(first(files))), get(t, filepath.Join(dir, files[0].name())))
		}
	}
	behind := func(data []byte) damage {
		return func(t *testing.T, dir string, files []sealedFile) {
			path := filepath.Join(dir, files[1].name())
			put(t, path, append(get(t, path), data...))
		}
	}
	var empty bytes.Buffer
	if err := compress(&empty, func(func([]byte) error) error { return nil }); err != nil {
		t.Fatal(err)
	}
	far := seqKey(1 << 40)
	for _, tt := range []struct {
		name   string
		file   string // that the survey names
		lost   int64  // records, or the sealed file of that index
		damage damage
	}{
		{"a file that is not listed", "999999.jsonl.gz", 0, func(t *testing.T, dir string, _ []sealedFile) {
			put(t, filepath.Join(dir, "999999.jsonl.gz"), []byte("?"))
		}},
		{"a copy far behind", "999999.jsonl.gz", 0, copyTo(func([]sealedFile) int64 { return 999999 })},
		{"a copy where the next file comes", "", 0, copyTo(func(files []sealedFile) int64 { return files[2].Last + 1 })},
		{"a copy in the middle", "", 0, copyTo(func(files []sealedFile) int64 { return files[1].First + 3 })},
		{"a copy in place of another", second, fileAt + 1, copyTo(func(files []sealedFile) int64 { return files[1].First })},
		{"two files have changed names", "000001.jsonl.gz", 0, func(t *testing.T, dir string, files []sealedFile) {
			a, b := filepath.Join(dir, files[0].name()), filepath.Join(dir, files[1].name())
			first, second := get(t, a), get(t, b)
			put(t, a, second)
			put(t, b, first)
		}},
		{"an empty member behind a file", second, 0, behind(empty.Bytes())},
		{"bytes behind a file", second, 0, behind([]byte("more"))},
		{"a link in place of a file", second, 0, func(t *testing.T, dir string, files []sealedFile) {
			path, moved := filepath.Join(dir, files[1].name()), filepath.Join(t.TempDir(), "moved")
			put(t, moved, get(t, path))
			remove(t, path)
			if err := os.Symlink(moved, path); err != nil {
				t.Fatal(err)
			}
		}},
		{"a directory in place of a file", second, fileAt + 1, func(t *testing.T, dir string, files []sealedFile) {
			path := filepath.Join(dir, files[1].name())
			remove(t, path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{"an acknowledgement that is none", ackName, 0, func(t *testing.T, dir string, _ []sealedFile) {
			put(t, filepath.Join(dir, ackName), []byte("{"))
		}},
		{"an acknowledgement of another record", ackName, 0, func(t *testing.T, dir string, _ []sealedFile) { acknowledge(t, dir, 50) }},
		{"checkpoints that are none", checkpointsName, 0, func(t *testing.T, dir string, _ []sealedFile) {
			put(t, filepath.Join(dir, checkpointsName), []byte("?\n\n— a b\n\n"))
		}},
		{"a byte of a checkpoint's hash", checkpointsName, 0, func(t *testing.T, dir string, _ []sealedFile) {
			flip(t, filepath.Join(dir, checkpointsName), 60)
		}},
		{"no traces", fileName, 0, without(tracesBucket)},
		{"no keys", fileName, 0, without(keysBucket)},
		{"no records", fileName, 0, without(recordsBucket)},
		{"no list of files", fileName, 0, without(sealedBucket)},
		{"a trace of later", fileName, 0, bucket(tracesBucket, far[:], "?")},
		{"an intent that is none", fileName, 0, bucket(intentsBucket, []byte("?"), "?")},
		{"a key that is none", fileName, 0, bucket(keysBucket, []byte("?"), "{}")},
		{"a record without a seq", fileName, 0, bucket(recordsBucket, []byte("?"), "{}")},
		{"a file that is none in the list", fileName, 0, bucket(sealedBucket, []byte("?"), "{")},
		{"a mark of pruning that is none", fileName, 0, bucket(metaBucket, prunedKey, "{")},
		{"a mark of pruning too far", fileName, 0, bucket(metaBucket, prunedKey, fmt.Sprintf(`{"last":1000,"hash":%q}`, anyDigest))},
		{"another chain's id", fileName, 0, bucket(metaBucket, chainKey, NewReceiptID())},
		{"another tenant", fileName, 0, bucket(metaBucket, tenantKey, "umbrella")},
		{"no format", fileName, 0, bucket(metaBucket, formatKey, "")},
		{"a file is not in the list", fileName, 0, func(t *testing.T, dir string, files []sealedFile) {
			edit(t, dir, func(tx *bbolt.Tx) error {
				key := seqKey(files[2].First)
				return tx.Bucket(sealedBucket).Delete(key[:])
			})
		}},
		{"another hash in the list", fileName, 0, func(t *testing.T, dir string, files []sealedFile) {
			edit(t, dir, func(tx *bbolt.Tx) error {
				key := seqKey(files[2].First)
				entry := bytes.Replace(tx.Bucket(sealedBucket).Get(key[:]), []byte(files[2].Hash), []byte(anyDigest), 1)
				return tx.Bucket(sealedBucket).Put(key[:], entry)
			})
		}},
		{"the head twice", fileName, 0, func(t *testing.T, dir string, _ []sealedFile) {
			edit(t, dir, func(tx *bbolt.Tx) error {
				k, line := headOf(tx)
				next := seqKey(seqOf(k) + 1)
				return tx.Bucket(recordsBucket).Put(next[:], line)
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, files := sealedJournal(t)
			tt.damage(t, dir, files)
			s := examineRefused(t, dir, false)
			if tt.file == second {
				tt.file = files[1].name()
			}
			if s.Whole() || tt.file != "" && filepath.Base(s.Damage[0].Path) != tt.file && filepath.Base(s.Damage[len(s.Damage)-1].Path) != tt.file {
				t.Errorf("the survey says %+v", s.Damage)
			}
			_, lost, err := Recover(t.Context(), options(dir), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := lostOf(tt.lost, files)
			if len(lost) != 1 || want > 0 && lost[0].Last-lost[0].First+1 != want || want == 0 && lost[0].First != 0 {
				t.Errorf("lost: %+v, want %d records", lost, want)
			}
			goesOn(t, dir, 1, 1)
		})
	}
}

// TestDamagedFilesAreKept recovers twice: the evidence of the first time stays,
// and what a recovery that was interrupted has set aside is not kept twice.
func TestDamagedFilesAreKept(t *testing.T) {
	dir, _ := sealedJournal(t)
	path := filepath.Join(dir, fileName)
	var damaged [][]byte
	for range 2 {
		overwrite(t, dir, 0, 2*4096)
		damaged = append(damaged, get(t, path))
		if err := setAside(path); err != nil { // interrupted there
			t.Fatal(err)
		}
		if _, _, err := Recover(t.Context(), options(dir), nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{path + ".damaged", path + ".2.damaged"} {
		if !bytes.Equal(get(t, name), damaged[i]) {
			t.Errorf("%s is not what was damaged", name)
		}
	}
	if all, err := filepath.Glob(filepath.Join(dir, "*.damaged")); err != nil || len(all) != 2 {
		t.Errorf("%q, %v", all, err)
	}
}

// TestRecoveryIsTakenUpAgain has a recovery fail at each file that it makes, before
// and after that is done.
func TestRecoveryIsTakenUpAgain(t *testing.T) {
	for _, done := range []bool{false, true} {
		for step := int64(1); ; step++ {
			dir, files := sealedJournal(t)
			for i := range files[:2] {
				path := filepath.Join(dir, files[i].name())
				put(t, path, append(get(t, path), "more"...))
			}
			flip(t, filepath.Join(dir, files[2].name()), int(files[2].Bytes)-30)
			fault := &steps{err: syscall.EIO, persisted: done}
			fault.fail.Store(step)
			o := options(dir)
			fault.hook(&o)
			s, _, err := Recover(t.Context(), o, nil)
			if failed := fault.failed.Load(); failed == nil {
				if err != nil || step < 3 {
					t.Fatalf("after %d steps: %v", step-1, err)
				}
				break
			}
			if !errors.Is(err, syscall.EIO) {
				t.Fatalf("step %d: %v", step, err)
			}
			again, lost, err := Recover(t.Context(), options(dir), nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(lost) != 1 || !slices.Equal(again.Proved, s.Proved) {
				t.Errorf("step %d: proved is %+v, and was %+v; lost %+v", step, again.Proved, s.Proved, lost)
			}
			goesOn(t, dir, 1, 1)
		}
	}
}

// TestSealStoppedBelievesNoForeignAck: what a collector has of another chain gives
// no record of this one up.
func TestSealStoppedBelievesNoForeignAck(t *testing.T) {
	dir, files := sealedJournal(t)
	put(t, filepath.Join(dir, ackName), ackOf(NewReceiptID(), 1<<40, anyDigest))
	err := SealStopped(t.Context(), dir, Limits{Shipped: true, RetentionAge: time.Nanosecond})
	if !is[*RollbackError](err) {
		t.Errorf("sealed: %v", err)
	}
	for i := range files {
		get(t, filepath.Join(dir, files[i].name()))
	}
}

func get(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
