package journal

import (
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/receipts"
)

// check is bbolt's own check of the whole file, and that records are without
// gaps, each as its hash says and linked to the one before.
func (s *store) check(c *contents) error {
	err := s.view(func(tx *bbolt.Tx) error {
		var first error
		for err := range tx.Check() {
			if first == nil {
				first = err // drained to the end: the check's goroutine waits for us
			}
		}
		if first != nil {
			return first
		}
		var err error
		c.bytes, err = checkRecords(tx.Bucket(recordsBucket).Cursor())
		return err
	})
	if err != nil {
		return &CorruptError{Path: s.path, Err: err}
	}
	return nil
}

func checkRecords(c *bbolt.Cursor) (bytes int64, err error) {
	before := new(receipts.Head)
	for k, line := c.First(); k != nil; k, line = c.Next() {
		next := before.Chain.Seq + 1
		if len(k) != 8 || seqOf(k) < 1 || next > 1 && seqOf(k) != next {
			return 0, fmt.Errorf("record %x stands where %d should", k, next)
		}
		if before, err = checkRecord(seqOf(k), line, before); err != nil {
			return 0, fmt.Errorf("record %d: %w", seqOf(k), err)
		}
		bytes += int64(len(line))
	}
	return bytes, nil
}

// checkRecord holds a record against its place, its hash and the one before, whose
// hash is "" where it is not in the database.
func checkRecord(seq int64, line []byte, before *receipts.Head) (*receipts.Head, error) {
	rec, err := receipts.Decode(line)
	if err != nil {
		return nil, err
	}
	if err := receipts.CheckHashes(rec); err != nil {
		return nil, err
	}
	h := rec.RecordHead()
	switch {
	case h.Chain.Seq != seq:
		return nil, fmt.Errorf("it says that it is record %d", h.Chain.Seq)
	case before.ReceiptHash != "" && h.Chain.Prev != before.ReceiptHash:
		return nil, fmt.Errorf("it follows %s, and record %d has the hash %s", h.Chain.Prev, before.Chain.Seq, before.ReceiptHash)
	}
	return h, nil
}
