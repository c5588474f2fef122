package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/receipts"
)

// What one read transaction takes at most. It copies and ends, since pages that
// it may see cannot be used again.
const (
	batchRecords = 512
	batchBytes   = 1 << 20
)

// batch is a copied run of records.
type batch struct {
	buf  []byte
	ends []int // of each line in buf
}

// fill copies records without gaps from the first at or after seq on, and
// returns its seq.
func (b *batch) fill(c *bbolt.Cursor, seq, to int64) (first int64, err error) {
	b.buf, b.ends = b.buf[:0], b.ends[:0]
	key := seqKey(seq)
	for k, line := c.Seek(key[:]); k != nil && seqOf(k) <= to; k, line = c.Next() {
		if len(b.ends) == 0 {
			first = seqOf(k)
		} else if seqOf(k) != first+int64(len(b.ends)) {
			return 0, fmt.Errorf("record %d is missing", first+int64(len(b.ends)))
		}
		b.buf = append(b.buf, line...)
		b.ends = append(b.ends, len(b.buf))
		if len(b.ends) == batchRecords || len(b.buf) >= batchBytes {
			break
		}
	}
	return first, nil
}

// view runs f in a read transaction. It waits while the file is being opened
// again.
func (j *Journal) view(f func(*bbolt.Tx) error) error {
	j.storeMu.RLock()
	defer j.storeMu.RUnlock()
	if err := j.err.Load(); err != nil && !err.Full {
		return err
	}
	return j.store.view(f)
}

// Reader reads the journal of a sidecar that does not run. It changes nothing.
type Reader struct {
	store   *store
	records records
	head    Head
	keys    []receipts.ChainKey
	intents int
}

// OpenReader opens the journal in dir for reading. Its errors are *LockedError
// while a sidecar runs there, *VersionError, *CorruptError, and fs.ErrNotExist
// for a directory without a journal.
func OpenReader(dir string) (*Reader, error) {
	path := filepath.Join(dir, fileName)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("no journal in %s: %w", dir, err)
	}
	s, err := openStore(path, true)
	if err != nil {
		return nil, err
	}
	c, err := s.load()
	if err != nil {
		_ = s.close() // only read
		return nil, err
	}
	return &Reader{store: s, records: records{archive: c.archive, view: s.view}, head: c.head, keys: c.keys, intents: len(c.intents)}, nil
}

// Head is the newest record.
func (r *Reader) Head() Head { return r.head }

// Keys are the keys of the chain, the one that signs last.
func (r *Reader) Keys() []receipts.ChainKey { return slices.Clone(r.keys) }

// OpenIntents counts the exchanges that a crash cut short. They become receipts
// when the sidecar starts next.
func (r *Reader) OpenIntents() int { return r.intents }

// Range calls fn with every record from seq from on that was not pruned,
// ascending. line is valid until fn returns.
func (r *Reader) Range(ctx context.Context, from int64, fn func(seq int64, line []byte) error) error {
	return r.records.each(ctx, from, r.head.Seq, fn)
}

// Close lets a sidecar start again.
func (r *Reader) Close() error { return r.store.close() }
