package journal

import (
	"errors"
	"io/fs"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/receipts"
)

// faults makes the commits fail that a test asks for.
type faults struct {
	next atomic.Pointer[fault]
}

// fault is one way for a commit to fail.
type fault struct {
	err       error
	persisted bool // it fails although it is on the disk
	times     atomic.Int64
}

func (f *faults) arm(err error, persisted bool, times int64) {
	next := &fault{err: err, persisted: persisted}
	next.times.Store(times)
	f.next.Store(next)
}

func (f *faults) commit(tx *bbolt.Tx) error {
	next := f.next.Load()
	if next == nil || next.times.Add(-1) < 0 {
		return tx.Commit()
	}
	if next.persisted {
		if err := tx.Commit(); err != nil {
			return err
		}
	} else if err := tx.Rollback(); err != nil {
		return err
	}
	return next.err
}

var (
	fullWrite = &fs.PathError{Op: "write", Path: fileName, Err: syscall.ENOSPC}
	fullSync  = syscall.ENOSPC // of fdatasync
	ioError   = &fs.PathError{Op: "write", Path: fileName, Err: syscall.EIO}
)

// TestFaults fails one commit in each way and holds what the callers were told,
// what the journal does then, and what a restart finds, against each other.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name      string
		err       error
		persisted bool
		times     int64
		finished  bool // the receipt of the open intent gets through all the same
		final     bool // nothing more is written until a restart
	}{
		{"no space for a page", fullWrite, false, 1, true, false},
		{"no space for a page, twice", fullWrite, false, 2, false, false},
		{"no space, although persisted", fullWrite, true, 1, false, true},
		{"no space at sync", fullSync, false, 1, false, true},
		{"I/O error", ioError, false, 1, false, true},
		{"I/O error, although persisted", ioError, true, 1, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			o := options(dir)
			f := new(faults)
			o.hooks.commit = f.commit
			j := open(t, o)
			r := begin(t, j, draft("t"))

			f.arm(tt.err, tt.persisted, tt.times)
			err := j.Finish(forward(r)).Wait()
			if (err == nil) != tt.finished {
				t.Fatalf("Finish: %v, want success: %t", err, tt.finished)
			}
			if err != nil {
				wantUnavailable(t, err, !tt.final)
			}
			want := 1
			if tt.finished {
				want = 0
			}
			if got := j.OpenIntents(); got != want {
				t.Errorf("%d open intents, want %d", got, want)
			}
			if tt.final {
				wantUnavailable(t, j.Err(), false)
				wantUnavailable(t, j.Begin(draft("t"), ""), false)
				wantUnavailable(t, j.Finish(draft("t")).Wait(), false)
			} else {
				resumed(t, j)
				finish(t, j, forward(begin(t, j, draft("t"))))
				verify(t, j)
			}
			closeJournal(t, j)
			restart(t, dir, r.ReceiptID, tt.finished || tt.persisted)
		})
	}
}

// TestBeginFails has an intent's commit fail: the caller must not send, whether
// the intent is on the disk or not.
func TestBeginFails(t *testing.T) {
	for _, tt := range []struct {
		name      string
		err       error
		persisted bool
	}{
		{"no space", fullWrite, false},
		{"I/O error", ioError, false},
		{"I/O error, although persisted", ioError, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			o := options(dir)
			f := new(faults)
			o.hooks.commit = f.commit
			j := open(t, o)
			f.arm(tt.err, tt.persisted, 1)
			r := draft("t")
			wantUnavailable(t, j.Begin(r, ""), isFull(tt.err))
			if got := j.OpenIntents(); got != 0 {
				t.Errorf("%d open intents", got)
			}
			closeJournal(t, j)
			j = open(t, options(dir))
			defer closeJournal(t, j)
			if got := verify(t, j).receipts[r.ReceiptID]; (got != nil) != tt.persisted {
				t.Errorf("the intent became %+v", got)
			}
		})
	}
}

// TestPanicInCommit contains bbolt's own way of giving up.
func TestPanicInCommit(t *testing.T) {
	dir := t.TempDir()
	o := options(dir)
	broken := atomic.Bool{}
	o.hooks.commit = func(tx *bbolt.Tx) error {
		if broken.Load() {
			panic("assertion failed: page 7 already freed")
		}
		return tx.Commit()
	}
	j := open(t, o)
	r := begin(t, j, draft("t"))
	broken.Store(true)
	wantUnavailable(t, j.Finish(forward(r)).Wait(), false)
	wantUnavailable(t, j.Err(), false)
	closeJournal(t, j)
	restart(t, dir, r.ReceiptID, false)
}

// restart opens the journal again and expects the exchange on record, forwarded
// or unknown.
func restart(t *testing.T, dir, id string, finished bool) {
	t.Helper()
	j := open(t, options(dir))
	defer closeJournal(t, j)
	want := receipts.Unknown
	if finished {
		want = receipts.Forwarded
	}
	if got := verify(t, j).receipts[id]; got == nil || got.Outcome != want {
		t.Errorf("after a restart the exchange is %+v, want outcome %s", got, want)
	}
}

func wantUnavailable(t *testing.T, err error, full bool) {
	t.Helper()
	unavailable, ok := errors.AsType[*UnavailableError](err)
	if !ok || unavailable.Full != full || unavailable.Path == "" || unavailable.Reason == "" {
		t.Errorf("%v, want an UnavailableError, full: %t", err, full)
	}
}

// resumed waits until a full disk is over.
func resumed(t *testing.T, j *Journal) {
	t.Helper()
	for err := j.Err(); err != nil; err = j.Err() {
		if unavailable, ok := errors.AsType[*UnavailableError](err); !ok || !unavailable.Full {
			t.Fatalf("the journal does not resume: %v", err)
		}
		runtime.Gosched()
	}
}
