package journal

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/receipts"
)

// closedJournal is a directory with a journal of a few records.
func closedJournal(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	j := open(t, options(dir))
	for _, trace := range []string{"a", "b", "a"} {
		finish(t, j, forward(begin(t, j, draft(trace))))
	}
	closeJournal(t, j)
	return dir
}

// edit changes a journal as no program should.
func edit(t testing.TB, dir string, f func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, fileName), 0o600, &bbolt.Options{Timeout: 1, NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// headOf is the newest record's key and line.
func headOf(tx *bbolt.Tx) (k, line []byte) {
	k, line = tx.Bucket(recordsBucket).Cursor().Last()
	return bytes.Clone(k), bytes.Clone(line)
}

func TestOpenRefuses(t *testing.T) {
	otherKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		change func(*Options)
		as     func(error) bool
		want   []string // what the error names
	}{
		{
			name: "another version", as: is[*VersionError], want: []string{fileName, "signet.journal/9", format, "version"},
			damage: editing(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, []byte("signet.journal/9")) }),
		},
		{
			name: "no format", as: is[*VersionError], want: []string{fileName},
			damage: editing(func(tx *bbolt.Tx) error { return tx.DeleteBucket(metaBucket) }),
		},
		{
			name: "no records", as: is[*CorruptError], want: []string{fileName, "records"},
			damage: editing(func(tx *bbolt.Tx) error { return tx.DeleteBucket(recordsBucket) }),
		},
		{
			name: "no chain", as: is[*CorruptError], want: []string{"chain"},
			damage: editing(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(chainKey) }),
		},
		{
			name: "a record is missing", as: is[*CorruptError], want: []string{"stands where 3 should"},
			damage: editing(func(tx *bbolt.Tx) error {
				k := seqKey(3)
				return tx.Bucket(recordsBucket).Delete(k[:])
			}),
		},
		{
			name: "the head says something else", as: is[*CorruptError], want: []string{"hash"},
			damage: editing(func(tx *bbolt.Tx) error {
				k, line := headOf(tx)
				return tx.Bucket(recordsBucket).Put(k, bytes.Replace(line, []byte(`"stop"`), []byte(`"gap","gap":{"unknown":0}`), 1))
			}),
		},
		{
			name: "an older record says something else", as: is[*CorruptError], want: []string{"record 4", "receipt_hash"},
			damage: editing(func(tx *bbolt.Tx) error {
				k := seqKey(4)
				line := bytes.Replace(tx.Bucket(recordsBucket).Get(k[:]), []byte(`"trace_id":"b"`), []byte(`"trace_id":"c"`), 1)
				return tx.Bucket(recordsBucket).Put(k[:], line)
			}),
		},
		{
			name: "an older record was written anew with the key", as: is[*CorruptError], want: []string{"record 5", "it follows"},
			damage: editing(func(tx *bbolt.Tx) error {
				k := seqKey(4)
				rec, err := receipts.Decode(bytes.Clone(tx.Bucket(recordsBucket).Get(k[:])))
				if err != nil {
					return err
				}
				rec.RecordHead().TS = rec.RecordHead().TS.Add(time.Millisecond)
				core := receipts.AppendCore(nil, rec)
				rec.RecordHead().ReceiptHash = receipts.Hash(core)
				return tx.Bucket(recordsBucket).Put(k[:], newSigner(testKey, nil).appendLine(nil, rec, core))
			}),
		},
		{
			name: "the head's signature", as: is[*CorruptError], want: []string{"did not sign"},
			damage: editing(func(tx *bbolt.Tx) error {
				k, line := headOf(tx)
				i := bytes.Index(line, []byte(`"signature":"`)) + len(`"signature":"`)
				line[i] = map[bool]byte{true: 'B', false: 'A'}[line[i] == 'A'] // another one, and base64url still
				return tx.Bucket(recordsBucket).Put(k, line)
			}),
		},
		{
			name: "the head stands elsewhere", as: is[*CorruptError], want: []string{"newest record"},
			damage: editing(func(tx *bbolt.Tx) error {
				k, line := headOf(tx)
				next := seqKey(seqOf(k) + 1)
				return tx.Bucket(recordsBucket).Put(next[:], line)
			}),
		},
		{
			name: "intents of an earlier build", as: is[*VersionError], want: []string{fileName, "start that build on the data directory", "then start this one"},
			damage: editing(func(tx *bbolt.Tx) error {
				document, err := json.Marshal(draft("t"))
				if err != nil {
					return err
				}
				return tx.Bucket(intentsBucket).Put([]byte("x"), document)
			}),
		},
		{
			name: "an intent is no draft", as: is[*CorruptError], want: []string{"intent"},
			damage: editing(func(tx *bbolt.Tx) error { return tx.Bucket(intentsBucket).Put([]byte("x"), []byte("{")) }),
		},
		{
			name: "a trace entry beyond the records", as: is[*CorruptError], want: []string{"trace"},
			damage: editing(func(tx *bbolt.Tx) error {
				k := seqKey(999)
				return tx.Bucket(tracesBucket).Put(k[:], bytes.Repeat([]byte{1}, 90))
			}),
		},
		{
			name: "an empty file", as: is[*CorruptError], want: []string{fileName, "meta page"},
			damage: func(t *testing.T, dir string) { write(t, dir, nil) },
		},
		{
			name: "not a journal", as: is[*CorruptError], want: []string{fileName, "meta page"},
			damage: func(t *testing.T, dir string) { write(t, dir, bytes.Repeat([]byte("signet"), 10_000)) },
		},
		{
			name: "cut off", as: is[*CorruptError], want: []string{fileName, "cut off"},
			damage: func(t *testing.T, dir string) {
				if err := os.Truncate(filepath.Join(dir, fileName), 3*4096); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "another key", as: notTyped, want: []string{"key", receipts.KeyID(publicOf(testKey)), receipts.KeyID(publicOf(otherKey))},
			change: func(o *Options) { o.Key = otherKey },
		},
		{
			name: "another tenant", as: notTyped, want: []string{"acme", "umbrella"},
			change: func(o *Options) { o.Tenant = "umbrella" },
		},
		{name: "no key", as: notTyped, want: []string{"key"}, change: func(o *Options) { o.Key = nil }},
		{name: "no directory", as: notTyped, want: []string{"directory"}, change: func(o *Options) { o.Dir = "" }},
		{
			name: "no policy version", as: notTyped, want: []string{"policy_version"},
			change: func(o *Options) { o.PolicyVersion = "" },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := closedJournal(t)
			if tt.damage != nil {
				tt.damage(t, dir)
			}
			o := options(dir)
			if tt.change != nil {
				tt.change(&o)
			}
			_, err := Open(context.Background(), o)
			if err == nil || !tt.as(err) {
				t.Fatalf("Open: %T %v", err, err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error %q does not name %q", err, part)
				}
			}
		})
	}
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func notTyped(err error) bool {
	return !is[*CorruptError](err) && !is[*VersionError](err) && !is[*LockedError](err) && !is[*UnavailableError](err)
}

func editing(f func(*bbolt.Tx) error) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		edit(t, dir, f)
	}
}

func write(t *testing.T, dir string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, fileName), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestNewJournalIsChecked refuses options that no genesis can hold, and leaves
// nothing.
func TestNewJournalIsChecked(t *testing.T) {
	o := options(t.TempDir())
	o.Tenant = ""
	if _, err := Open(context.Background(), o); err == nil || !strings.Contains(err.Error(), "tenant") {
		t.Errorf("a chain without a tenant: %v", err)
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	j := open(t, options(dir))
	_, err := Open(t.Context(), options(dir))
	wantLocked(t, err, dir)
	_, err = OpenReader(dir)
	wantLocked(t, err, dir)
	finish(t, j, draft("t")) // nobody was disturbed
	closeJournal(t, j)

	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenReader(dir)
	if err != nil {
		t.Fatalf("a second reader: %v", err)
	}
	_, err = Open(t.Context(), options(dir))
	wantLocked(t, err, dir)
	if err := errors.Join(r.Close(), again.Close()); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, open(t, options(dir)))
}

func wantLocked(t *testing.T, err error, dir string) {
	t.Helper()
	locked, ok := errors.AsType[*LockedError](err)
	if !ok || locked.Dir != dir || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v, want a LockedError that names %s", err, dir)
	}
}

func TestReaderChangesNothing(t *testing.T) {
	dir := closedJournal(t)
	path := filepath.Join(dir, fileName)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := verify(t, r)
	wantKinds(t, c, "genesis start receipt receipt receipt stop")
	if head := r.Head(); head.Seq != 6 || r.OpenIntents() != 0 {
		t.Errorf("head %+v, %d open intents", head, r.OpenIntents())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the file is another one")
	}
	empty := t.TempDir()
	if _, err := OpenReader(empty); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), empty) {
		t.Errorf("no journal: %v", err)
	}
	if entries, err := os.ReadDir(empty); err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

// FuzzDamagedFile overwrites parts of a journal: whatever is in the file, it is
// read, or refused with an error, without a panic.
func FuzzDamagedFile(f *testing.F) {
	dir := closedJournal(f)
	good, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		f.Fatal(err)
	}
	good = good[:16*4096] // the rest is reserve
	f.Add(0, []byte{})
	f.Add(8, []byte{0x10})
	f.Add(4096, bytes.Repeat([]byte{0xff}, 4096))
	for page := range 16 {
		f.Add(page*4096, []byte{byte(page + 1)})
		f.Add(page*4096+8, []byte{1, 0, 0xff})
		f.Add(page*4096+16, []byte{0xff, 0xff, 0xff, 0xff, 0xff})
		f.Add(page*4096+40, bytes.Repeat([]byte{0x80}, 64))
	}
	f.Fuzz(func(t *testing.T, at int, with []byte) {
		if at < 0 || at > len(good) {
			return
		}
		data := bytes.Clone(good)
		copy(data[at:], with)
		dir := t.TempDir()
		write(t, dir, data)
		_, err := Examine(context.Background(), dir, nil)
		if err != nil && !is[*CorruptError](err) {
			t.Errorf("%T %v", err, err)
		}
		r, err := OpenReader(dir)
		if err != nil {
			if !is[*CorruptError](err) && !is[*VersionError](err) {
				t.Errorf("%T %v", err, err)
			}
			return
		}
		_ = r.Range(context.Background(), 1, func(int64, []byte) error { return nil })
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if j, err := Open(context.Background(), options(dir)); err == nil {
			closeJournal(t, j)
		}
	})
}
