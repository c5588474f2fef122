package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/receipts"
)

func TestRetention(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	days := func(n int) time.Time { return now.Add(time.Duration(-n) * 24 * time.Hour) }
	files := []sealedFile{
		{First: 1, Last: 10, TS: days(40), Bytes: 100},
		{First: 11, Last: 20, TS: days(31), Bytes: 100},
		{First: 21, Last: 30, TS: days(30), Bytes: 100},
		{First: 31, Last: 40, TS: days(2), Bytes: 100},
		{First: 41, Last: 50, TS: days(1), Bytes: 100},
	}
	for _, tt := range []struct {
		name    string
		shipped bool
		acked   int64
		age     int // days
		size    int64
		want    int
	}{
		{"no collector: by age", false, 0, 30, 0, 3},
		{"no collector: nothing is old", false, 0, 41, 0, 0},
		{"no collector: size does not count", false, 0, 365, 1, 0},
		{"no collector: an acknowledgement of an earlier one does not count", false, 50, 365, 1, 0},
		{"collector: old, and nothing acknowledged", true, 0, 30, 0, 0},
		{"collector: old and acknowledged", true, 20, 30, 1000, 2},
		{"collector: a file that is acknowledged in part", true, 25, 30, 1000, 2},
		{"collector: too much", true, 50, 365, 250, 3},
		{"collector: too much, and acknowledged in part", true, 15, 365, 250, 1},
		{"collector: just enough", true, 50, 365, 500, 0},
		{"collector: old, and not too much", true, 50, 31, 1000, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limits := &Limits{Shipped: tt.shipped, RetentionAge: time.Duration(tt.age) * 24 * time.Hour, RetentionSize: tt.size}
			r := retention{limits: limits, acked: tt.acked, now: now}
			if got := r.due(files); got != tt.want {
				t.Errorf("%d files may go, want %d", got, tt.want)
			}
		})
	}
}

// ackOf is a collector's document. Its signature is the receiver's to check.
func ackOf(chain string, seq int64, hash string) []byte {
	return fmt.Appendf(nil, `{"type":"signet.ack/1","chain":%q,"seq":%d,"receipt_hash":%q,"signature":"…"}`, chain, seq, hash)
}

// hashAt is the receipt_hash of a record.
func hashAt(t *testing.T, j *Journal, seq int64) (hash string) {
	t.Helper()
	err := j.records().each(t.Context(), seq, seq, func(_ int64, line []byte) (err error) {
		hash, err = hashOf(line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// What a collector has not acknowledged is not pruned, and what it has goes with
// its files, for good.
func TestPruneWhatIsAcknowledged(t *testing.T) {
	o := options(t.TempDir())
	o.Limits = Limits{SealSize: 20 << 10, RetentionSize: 1, Shipped: true}
	j := open(t, o)
	exchanges(t, j, 60)
	seal(t, j)
	files := sealed(t, o.Dir)
	if len(files) < 3 || j.archive.gone().Last != 0 {
		t.Fatalf("the files %q, pruned to %d", files, j.archive.gone().Last)
	}
	second := j.archive.list()[1]
	if err := j.SetAcked(t.Context(), ackOf(j.Head().Chain, second.Last, second.Hash)); err != nil {
		t.Fatal(err)
	}
	seal(t, j) // its round has pruned
	if got := sealed(t, o.Dir); len(got) != len(files)-2 || j.archive.gone().Last != second.Last {
		t.Errorf("of %q the files %q are left", files, got)
	}
	wantFrom(t, j, second.Last+1)
	closeJournal(t, j)

	j = open(t, o)
	defer closeJournal(t, j)
	if got := j.Acked(); got.Seq != second.Last || got.Hash != second.Hash {
		t.Errorf("after a restart %+v is acknowledged", got)
	}
	wantFrom(t, j, second.Last+1)
	st, err := j.Stat(t.Context())
	if err != nil || st.FirstSeq != second.Last+1 || st.AckedSeq != second.Last || st.Sealed.Files != len(files)-2 {
		t.Errorf("%+v, %v", st, err)
	}
}

// wantFrom verifies the chain from its first record that was not pruned.
func wantFrom(t *testing.T, j *Journal, first int64) {
	t.Helper()
	keys, err := receipts.ParseJWKS(receipts.JWKS(j.Keys()...))
	if err != nil {
		t.Fatal(err)
	}
	v := receipts.NewVerifier(keys)
	if err := j.Range(t.Context(), 1, func(_ int64, line []byte) error { return v.Add(line) }); err != nil {
		t.Fatal(err)
	}
	if r, err := v.Result(); err != nil || r.First != first || r.Last != j.Head().Seq {
		t.Errorf("%+v, %v; want the records %d to %d", r, err, first, j.Head().Seq)
	}
}

// An older state of the disk shows by what a collector has seen.
func TestRollback(t *testing.T) {
	dir := t.TempDir()
	j := open(t, options(dir))
	exchanges(t, j, 5)
	head := j.Head()
	if err := j.SetAcked(t.Context(), ackOf(head.Chain, head.Seq, head.Hash)); err != nil {
		t.Fatal(err)
	}
	if err := j.SetAcked(t.Context(), ackOf(head.Chain, 3, hashAt(t, j, 3))); err != nil || j.Acked().Seq != head.Seq {
		t.Errorf("an acknowledgement that comes late: %v, %+v", err, j.Acked())
	}
	closeJournal(t, j)
	closeJournal(t, open(t, options(dir)))

	for _, tt := range []struct {
		name string
		ack  []byte
		want string
	}{
		{"ahead", ackOf(head.Chain, 99, anyDigest), "has acknowledged record 99"},
		{"another record", ackOf(head.Chain, head.Seq, anyDigest), "has the hash"},
		{"another chain", ackOf(NewReceiptID(), 1, anyDigest), "chain"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := open(t, options(dir))
			defer closeJournal(t, j)
			tt := tt
			if tt.name == "another record" {
				tt.ack = ackOf(head.Chain, j.Head().Seq, anyDigest)
			}
			before, err := os.ReadFile(filepath.Join(dir, ackName))
			if err != nil {
				t.Fatal(err)
			}
			wantRollback(t, j.SetAcked(t.Context(), tt.ack), tt.want)
			wantUnavailable(t, j.Begin(draft("t"), ""), false)
			closeJournal(t, j)
			_, err = Open(context.Background(), options(dir))
			wantRollback(t, err, tt.want)
			if err := os.WriteFile(filepath.Join(dir, ackName), before, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	j = open(t, options(dir))
	defer closeJournal(t, j)
	for _, bad := range []string{"", "{", "[]", `{"chain":"c","seq":0,"receipt_hash":"h"}`} {
		if err := j.SetAcked(t.Context(), []byte(bad)); err == nil || j.Err() != nil {
			t.Errorf("%q was taken: %v, %v", bad, err, j.Err())
		}
	}
}

func wantRollback(t *testing.T, err error, want string) {
	t.Helper()
	rollback, ok := errors.AsType[*RollbackError](err)
	if !ok || !strings.Contains(rollback.Error(), want) || !strings.Contains(rollback.Error(), ackName) {
		t.Errorf("%v, want a RollbackError that names %s and says %q", err, ackName, want)
	}
}
