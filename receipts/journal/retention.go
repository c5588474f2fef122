package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"go.etcd.io/bbolt"
)

// retention says which sealed files may go.
type retention struct {
	limits *Limits
	acked  int64 // seq up to which a collector has the records
	now    time.Time
}

// due counts the oldest files that may go. With a collector a file that it has
// goes when it is too old, or one too many; without one age alone counts: what is
// younger than retention is never given up for space.
func (r *retention) due(files []sealedFile) (n int) {
	total := int64(0)
	for i := range files {
		total += files[i].onDisk()
	}
	for ; n < len(files); n++ {
		f := &files[n]
		old := r.now.Sub(f.TS) >= r.limits.RetentionAge
		if r.limits.Shipped && (f.Last > r.acked || !old && total <= r.limits.RetentionSize) || !r.limits.Shipped && !old {
			break
		}
		total -= f.onDisk()
	}
	return n
}

// prune removes the oldest n files: first the database says that they are gone,
// then they go. What an interruption leaves of them resume removes.
func (s *sealing) prune(n int) error {
	files := s.archive.list()[:n]
	end := pruned{Last: files[n-1].Last, Hash: files[n-1].Hash}
	mark, err := json.Marshal(end)
	if err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	err = s.change(func(tx *bbolt.Tx) error {
		for i := range files {
			key := seqKey(files[i].First)
			if err := tx.Bucket(sealedBucket).Delete(key[:]); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put(prunedKey, mark)
	})
	if err != nil {
		return fmt.Errorf("prune records to %d: %w", end.Last, err)
	}
	s.archive.drop(n)
	for i := range files {
		s.leftover = append(s.leftover, s.archive.path(&files[i]))
	}
	return s.clear()
}

// clear removes files that no longer count. One that cannot be removed is tried
// again next time.
func (s *sealing) clear() error {
	var errs []error
	kept := s.leftover[:0]
	for _, path := range s.leftover {
		if err := s.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			kept = append(kept, path)
			errs = append(errs, err)
		}
	}
	s.leftover = kept
	return errors.Join(errs...)
}
