package journal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/gzip"
	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/receipts"
)

// sealing moves records from the database into sealed files, and old files out
// of the directory. Each step is durable before the next, and each can be taken
// again:
//
//  1. the file is written under a temporary name, synced, named, and its
//     directory synced;
//  2. the file is read back and held against the database, line by line;
//  3. the database lists it, and in small transactions forgets its records.
//
// A file that is named and not listed is what an interruption has left: it goes
// on with step 2, whether that was a crash or an error. Records that are in a
// file and in the database count where the file has them.
//
// One goroutine at a time uses it.
type sealing struct {
	records
	change func(change) error // makes a change durable in one transaction
	create func(path string, mode fs.FileMode, fill func(io.Writer) error) error
	remove func(path string) error

	leftover []string // paths of files that no longer count
}

// change is what sealing does to the database in one transaction. Its errors are
// the database's.
type change = func(tx *bbolt.Tx) error

// deleteAtOnce is how many records one transaction forgets: few, since the
// groups of exchanges wait behind it.
const deleteAtOnce = 256

// seal makes one file of the records after the last sealed one, up to the record
// to or as much as size bytes hold. It returns how many bytes of records have
// left the database.
func (s *sealing) seal(ctx context.Context, to, size int64) (int64, error) {
	first := s.archive.last().Last + 1
	f := &sealedFile{First: first}
	path := s.archive.path(f)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = s.create(path, 0o600, func(w io.Writer) error { return s.write(ctx, w, first, to, size) })
	}
	if err != nil {
		return 0, fmt.Errorf("seal records from %d on: %w", first, err)
	}
	f, raw, err := s.adopt(ctx, first)
	if err != nil {
		return 0, fmt.Errorf("seal records from %d on: %w", first, err)
	}
	s.archive.add(f) // readers go there before the database forgets
	return raw, s.settle(f)
}

// write writes the records first..to, or as many as make size bytes.
func (s *sealing) write(ctx context.Context, w io.Writer, first, to, size int64) error {
	full := errors.New("full")
	written := int64(0)
	return compress(w, func(put func(line []byte) error) error {
		err := s.each(ctx, first, to, func(_ int64, line []byte) error {
			if written >= size {
				return full
			}
			written += int64(len(line))
			return put(line)
		})
		if errors.Is(err, full) {
			return nil
		}
		return err
	})
}

// compress writes the lines that each puts. It is for speed: the cores are the
// exchanges'.
func compress(w io.Writer, each func(put func(line []byte) error) error) error {
	out := bufio.NewWriterSize(w, 64<<10)
	zipped, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	err = each(func(line []byte) error {
		if _, err := zipped.Write(line); err != nil {
			return err
		}
		_, err := zipped.Write([]byte{'\n'})
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(zipped.Close(), out.Flush())
}

// adopt holds a named file that is not listed against the database, which must
// have each of its records, byte for byte. It returns the bytes of the records.
func (s *sealing) adopt(ctx context.Context, first int64) (f *sealedFile, raw int64, err error) {
	f = &sealedFile{First: first}
	path := s.archive.path(f)
	seed := maphash.MakeSeed()
	var sums []uint64
	var newest []byte
	err = eachSealed(path, first, func(_ int64, line []byte) error {
		sums = append(sums, maphash.Bytes(seed, line))
		newest = append(newest[:0], line...)
		raw += int64(len(line))
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	if len(sums) == 0 {
		return nil, 0, &CorruptError{Path: path, First: first, Err: errors.New("it holds no record")}
	}
	f.Last = first + int64(len(sums)) - 1
	if err := s.compare(ctx, f, func(seq int64, line []byte) bool { return maphash.Bytes(seed, line) == sums[seq-first] }); err != nil {
		return nil, 0, err
	}
	rec, err := receipts.Decode(newest)
	if err != nil {
		return nil, 0, &CorruptError{Path: path, First: f.Last, Err: fmt.Errorf("record %d: %w", f.Last, err)}
	}
	f.Hash, f.TS = rec.RecordHead().ReceiptHash, rec.RecordHead().TS
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, fmt.Errorf("sealed file: %w", err)
	}
	f.Bytes = info.Size()
	return f, raw, durable.SyncDir(s.archive.dir) // the attempt before may not have come so far
}

// compare wants the database to have all records of f, and the same.
func (s *sealing) compare(ctx context.Context, f *sealedFile, same func(seq int64, line []byte) bool) error {
	path, next := s.archive.path(f), f.First
	err := s.each(ctx, f.First, f.Last, func(seq int64, line []byte) error {
		if seq != next || !same(seq, line) {
			return &CorruptError{Path: path, First: next, Last: f.Last, Err: fmt.Errorf("record %d is not the one that the database has", next)}
		}
		next++
		return nil
	})
	if err == nil && next <= f.Last {
		err = &CorruptError{
			Path: path, First: next, Last: f.Last,
			Err: fmt.Errorf("it goes on to record %d, and the database ends with %d: the database is of an older state", f.Last, next-1),
		}
	}
	return err
}

// settle lists a file and has the database forget its records. Until that is
// done both have them, which readers do not see.
func (s *sealing) settle(f *sealedFile) error {
	entry, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("list sealed file: %w", err)
	}
	for more := true; more; {
		err := s.change(func(tx *bbolt.Tx) (err error) {
			bucket, err := tx.CreateBucketIfNotExists(sealedBucket)
			if err != nil {
				return err
			}
			key := seqKey(f.First)
			if err := bucket.Put(key[:], entry); err != nil {
				return err
			}
			more, err = forgetThrough(tx.Bucket(recordsBucket), f.Last)
			return err
		})
		if err != nil {
			return fmt.Errorf("forget sealed records: %w", err)
		}
	}
	return nil
}

// forgetThrough deletes some of the records up to last; more says that others
// are left.
func forgetThrough(bucket *bbolt.Bucket, last int64) (more bool, err error) {
	var keys [][8]byte
	c := bucket.Cursor()
	for k, _ := c.First(); k != nil && seqOf(k) <= last; k, _ = c.Next() {
		if len(keys) == deleteAtOnce {
			more = true
			break
		}
		keys = append(keys, [8]byte(k))
	}
	for i := range keys {
		if err := bucket.Delete(keys[i][:]); err != nil {
			return false, err
		}
	}
	return more, nil
}

// reconcile takes stock at the start, when nothing else uses the directory, and
// changes nothing: what is left to do, resume does.
func (s *sealing) reconcile(ctx context.Context) error {
	unlisted, temporary, err := s.archive.inspect()
	if err != nil {
		return err
	}
	s.leftover = temporary
	for _, first := range unlisted {
		f := &sealedFile{First: first}
		switch next := s.archive.last().Last + 1; {
		case first <= s.archive.gone().Last:
			s.leftover = append(s.leftover, s.archive.path(f))
		case first == next:
			if f, _, err = s.adopt(ctx, first); err != nil {
				return err
			}
			s.archive.add(f)
		default:
			return &CorruptError{
				Path: s.archive.path(f), First: first,
				Err: fmt.Errorf("the database does not list it, and record %d would be sealed next: the database is of another state", next),
			}
		}
	}
	return nil
}

// resume takes up what an interruption has left: records that are still in the
// database beside their file, and files that were pruned.
func (s *sealing) resume() error {
	if err := s.clear(); err != nil {
		return err
	}
	files := s.archive.list()
	if len(files) == 0 {
		return nil
	}
	newest := &files[len(files)-1]
	settled := false
	err := s.view(func(tx *bbolt.Tx) error {
		k, _ := tx.Bucket(recordsBucket).Cursor().First()
		bucket, key := tx.Bucket(sealedBucket), seqKey(newest.First)
		settled = bucket != nil && bucket.Get(key[:]) != nil && k != nil && seqOf(k) > newest.Last
		return nil
	})
	if err != nil || settled {
		return err
	}
	return s.settle(newest)
}
