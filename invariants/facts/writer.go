package facts

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

const (
	queue      = 256 // facts that wait for a commit, and that one takes
	pruneEvery = time.Minute
	pruneMost  = 1000 // in one transaction
)

// run is the one goroutine that writes. It takes all that is queued and commits
// once; while that is on its way to the disk the next group gathers.
func (s *Store) run() {
	defer close(s.done)
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	for {
		select {
		case p := <-s.puts:
			s.write(s.group(p))
		case <-prune.C:
			if s.expired() {
				s.write(nil)
			}
		case <-s.quit:
			if group := s.group(nil); len(group) > 0 {
				s.write(group)
			}
			s.closeErr = s.db.Close()
			return
		}
	}
}

func (s *Store) group(first *put) []*put {
	var group []*put
	if first != nil {
		group = append(group, first)
	}
	for len(group) < queue {
		select {
		case p := <-s.puts:
			group = append(group, p)
		default:
			return group
		}
	}
	return group
}

// write commits a group, without what has expired and what is too much.
func (s *Store) write(group []*put) {
	size := s.Size()
	err := contain(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			t := &transaction{tx: tx, facts: tx.Bucket(factsBucket), age: tx.Bucket(ageBucket), expiry: tx.Bucket(expiryBucket), size: size}
			for _, p := range group {
				if err := t.put(p); err != nil {
					return err
				}
			}
			if err := t.prune(s.o.Now().UnixNano()); err != nil {
				return err
			}
			if err := t.evict(s.o.MaxFacts, s.o.MaxBytes); err != nil {
				return err
			}
			size = t.size
			return nil
		})
	})
	s.mu.Lock()
	failed := err != nil
	changed := failed != s.failing
	s.failing = failed
	if !failed {
		s.size = size
	}
	s.mu.Unlock()
	switch {
	case changed && failed:
		s.o.Logger.Error("facts: writing fails, and what needs new facts is denied", "path", s.path, "error", err.Error())
	case changed:
		s.o.Logger.Info("facts: writing works again", "path", s.path)
	}
	for _, p := range group {
		p.done <- err
	}
}

// expired tells whether there is something to prune.
func (s *Store) expired() bool {
	found := false
	err := contain(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			first, _ := tx.Bucket(expiryBucket).Cursor().First()
			found = first != nil && int64(binary.BigEndian.Uint64(first)) <= s.o.Now().UnixNano()
			return nil
		})
	})
	return err == nil && found
}

// transaction is one commit under way.
type transaction struct {
	tx                 *bbolt.Tx
	facts, age, expiry *bbolt.Bucket
	size               Size
}

func (t *transaction) put(p *put) error {
	if err := t.remove(p.key); err != nil {
		return err
	}
	seq, err := t.facts.NextSequence()
	if err != nil {
		return err
	}
	p.record.seq = seq
	if err := t.facts.Put(p.key, p.record.encode(p.key)); err != nil {
		return err
	}
	if err := t.age.Put(p.record.ageKey(), p.key); err != nil {
		return err
	}
	if err := t.expiry.Put(p.record.expiryKey(), p.key); err != nil {
		return err
	}
	t.size.Facts++
	t.size.Bytes += int64(len(p.key) + len(p.record.value))
	return nil
}

// remove takes a fact away, if it is there.
func (t *transaction) remove(key []byte) error {
	stored := t.facts.Get(key)
	if stored == nil {
		return nil
	}
	r, err := decode(key, stored)
	if err != nil {
		return err
	}
	t.size.Facts--
	t.size.Bytes -= int64(len(key) + len(r.value))
	age, expiry := r.ageKey(), r.expiryKey()
	if err := t.facts.Delete(key); err != nil {
		return err
	}
	if err := t.age.Delete(age); err != nil {
		return err
	}
	return t.expiry.Delete(expiry)
}

// removeFirst takes the fact away that comes first in an index.
func (t *transaction) removeFirst(key []byte) error {
	key = bytes.Clone(key) // bbolt's own, and the index is about to change
	if t.facts.Get(key) == nil {
		return fmt.Errorf("%w: an index has a fact that is not there", errDamaged)
	}
	return t.remove(key)
}

// prune takes what has expired, some of it if it is much.
func (t *transaction) prune(now int64) error {
	for range pruneMost {
		first, key := t.expiry.Cursor().First()
		if first == nil || int64(binary.BigEndian.Uint64(first)) > now {
			return nil
		}
		if err := t.removeFirst(key); err != nil {
			return fmt.Errorf("prune: %w", err)
		}
	}
	return nil
}

// evict takes the oldest until what is left is within the bounds.
func (t *transaction) evict(maxFacts int, maxBytes int64) error {
	for t.size.Facts > maxFacts || t.size.Bytes > maxBytes {
		first, key := t.age.Cursor().First()
		if first == nil {
			return nil
		}
		if err := t.removeFirst(key); err != nil {
			return fmt.Errorf("make room: %w", err)
		}
	}
	return nil
}
