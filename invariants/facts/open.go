package facts

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/internal/boltfile"
	"github.com/signet-egress/signet/internal/durable"
)

const (
	fileName    = "facts.db"
	damagedName = "facts.db.damaged"
	format      = "signet.facts/1"
)

// The buckets of facts.db.
var (
	metaBucket   = []byte("meta")   // format
	factsBucket  = []byte("facts")  // key → record
	ageBucket    = []byte("age")    // seq, 8 bytes big-endian → key
	expiryBucket = []byte("expiry") // expires and seq, 8 bytes big-endian each → key

	formatKey = []byte("format")
)

// Open opens the store in o.Dir, which it makes where there is none. Another
// process that has it open is an error (durable.ErrLocked). A damaged file is
// set aside as facts.db.damaged, in place of an earlier one, and the store
// begins empty: contracts then deny until their facts are captured again.
func Open(o Options) (*Store, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open facts: %w", err)
	}
	path := filepath.Join(o.Dir, fileName)
	db, size, err := open(path)
	if errors.Is(err, errDamaged) {
		aside := filepath.Join(o.Dir, damagedName)
		o.Logger.Error("facts: the file is damaged; it is set aside, and all facts are forgotten", "path", path, "aside", aside, "error", err.Error())
		if err := os.Rename(path, aside); err != nil {
			return nil, fmt.Errorf("set a damaged file of facts aside: %w", err)
		}
		db, size, err = open(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open facts: %w", err)
	}
	if err := durable.SyncDir(o.Dir); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &Store{
		o: o, path: path, db: db, size: size,
		puts: make(chan *put, queue), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go s.run()
	return s, nil
}

// open checks the file before bbolt trusts it, and every record in it.
func open(path string) (*bbolt.DB, Size, error) {
	var db *bbolt.DB
	err := contain(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:        1, // one try
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
			NoStatistics:   true,
			OpenFile:       openChecked,
		})
		return err
	})
	if err != nil {
		return nil, Size{}, err
	}
	var size Size
	err = contain(func() error { return db.Update(func(tx *bbolt.Tx) (err error) { size, err = load(tx); return err }) })
	if err != nil {
		return nil, Size{}, errors.Join(err, db.Close())
	}
	return db, size, nil
}

// openChecked takes the lock that bbolt takes again on the same descriptor, since
// a file that another process writes is not to be judged.
func openChecked(name string, flag int, mode fs.FileMode) (_ *os.File, err error) {
	f, err := os.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the first error counts
		}
	}()
	if err := durable.TryLock(f, true); err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return f, err
	}
	if err := boltfile.Check(f); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return f, nil
}

// load makes the buckets of a new file, and measures those of an old one. Every
// fact must have its place in both indices, and they no other.
func load(tx *bbolt.Tx) (Size, error) {
	meta, err := tx.CreateBucketIfNotExists(metaBucket)
	if err != nil {
		return Size{}, err
	}
	switch found := meta.Get(formatKey); {
	case found == nil:
		err = meta.Put(formatKey, []byte(format))
	case string(found) != format:
		err = fmt.Errorf("%s has the format %q, and this version of signet reads %s: use the version that wrote it, or remove the file, which forgets all facts", tx.DB().Path(), found, format)
	}
	for _, name := range [][]byte{factsBucket, ageBucket, expiryBucket} {
		if err == nil {
			_, err = tx.CreateBucketIfNotExists(name)
		}
	}
	if err != nil {
		return Size{}, err
	}
	return measure(tx)
}

func measure(tx *bbolt.Tx) (Size, error) {
	var size Size
	age, expiry := tx.Bucket(ageBucket), tx.Bucket(expiryBucket)
	err := tx.Bucket(factsBucket).ForEach(func(key, stored []byte) error {
		r, err := decode(key, stored)
		if err != nil {
			return err
		}
		if !bytes.Equal(age.Get(r.ageKey()), key) || !bytes.Equal(expiry.Get(r.expiryKey()), key) {
			return fmt.Errorf("%w: it is not in the indices", errDamaged)
		}
		size.Facts++
		size.Bytes += int64(len(key) + len(r.value))
		return nil
	})
	if err != nil {
		return Size{}, err
	}
	if age.Stats().KeyN != size.Facts || expiry.Stats().KeyN != size.Facts {
		return Size{}, fmt.Errorf("%w: an index has more than the facts", errDamaged)
	}
	return size, nil
}

func (r *record) ageKey() []byte { return binary.BigEndian.AppendUint64(nil, r.seq) }

func (r *record) expiryKey() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(r.expires)), r.seq)
}
