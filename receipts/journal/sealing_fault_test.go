package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/internal/durable"
)

// steps makes the n-th step of sealing fail, whichever it is: the making of a
// file, a commit, the removal of a file.
type steps struct {
	count, fail atomic.Int64
	persisted   bool // it fails although it was done
	err         error
	failed      atomic.Pointer[string]
}

func (s *steps) take(name string, do func() error) error {
	if s.count.Add(1) != s.fail.Load() {
		return do()
	}
	s.failed.Store(&name)
	if s.persisted {
		if err := do(); err != nil {
			return err
		}
	}
	return s.err
}

func (s *steps) hook(o *Options) {
	o.hooks.create = func(path string, mode fs.FileMode, fill func(io.Writer) error) error {
		return s.take("create "+filepath.Base(path), func() error { return durable.CreateFrom(path, mode, fill) })
	}
	o.hooks.remove = func(path string) error {
		return s.take("remove "+filepath.Base(path), func() error { return durable.Remove(path) })
	}
	o.hooks.commit = func(tx *bbolt.Tx) error {
		done := false
		err := s.take("commit", func() error {
			done = true
			return tx.Commit()
		})
		if !done {
			return errors.Join(err, tx.Rollback())
		}
		return err
	}
}

// TestSealingFaults fails each step of sealing and pruning in turn, as failed and
// as failed although it was done. Whatever fails: the chain is whole at once, and
// after a restart, when what was begun is finished.
func TestSealingFaults(t *testing.T) {
	for _, tt := range []struct {
		name      string
		err       error
		persisted bool
	}{
		{"failed", &fs.PathError{Op: "write", Path: "x", Err: syscall.EIO}, false},
		{"failed although done", &fs.PathError{Op: "write", Path: "x", Err: syscall.EIO}, true},
		{"no space", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n := int64(1); ; n++ {
				s := &steps{persisted: tt.persisted, err: tt.err}
				if !sealWithFault(t, s, n) {
					if n != 6 { // a file, two commits, one more that prunes, a removal
						t.Errorf("%d steps", n-1)
					}
					return
				}
			}
		})
	}
}

// sealWithFault tells whether there was an n-th step.
func sealWithFault(t *testing.T, s *steps, n int64) bool {
	t.Helper()
	o := options(t.TempDir())
	o.Limits = Limits{RetentionSize: 1, Shipped: true}
	s.hook(&o)
	j := open(t, o)
	exchanges(t, j, 5)
	seal(t, j)
	first := j.archive.list()[0]
	exchanges(t, j, deleteAtOnce+5) // forgotten in two transactions
	j.acked.Store(&Ack{Seq: first.Last, Hash: first.Hash})
	s.count.Store(0)
	s.fail.Store(n)
	err := j.Seal(t.Context())
	step := s.failed.Load()
	if step == nil {
		if err != nil {
			t.Fatal(err)
		}
		s.fail.Store(0)
		closeJournal(t, j)
		return false
	}
	name := fmt.Sprintf("step %d (%s)", n, *step)
	if j.Err() == nil {
		wantFrom(t, j, j.First())
	}
	if unavailable, ok := errors.AsType[*UnavailableError](j.Err()); ok && !unavailable.Full && *step != "commit" {
		t.Errorf("%s: a fault of sealing denies egress: %v", name, j.Err())
	}
	crash(t, j)

	o = options(o.Dir)
	o.Limits = Limits{RetentionSize: 1, Shipped: true}
	j = open(t, o)
	j.acked.Store(&Ack{Seq: first.Last, Hash: first.Hash})
	seal(t, j)
	if last := j.archive.last().Last; last != j.Head().Seq-1 {
		t.Errorf("%s: after a restart the records to %d are sealed, of %d", name, last, j.Head().Seq)
	}
	wantFrom(t, j, j.First())
	if j.First() != first.Last+1 || len(j.archive.list()) != len(sealed(t, o.Dir)) {
		t.Errorf("%s: the chain begins with %d; listed %d files of %q", name, j.First(), len(j.archive.list()), sealed(t, o.Dir))
	}
	closeJournal(t, j)
	return true
}
