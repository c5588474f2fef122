package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/signet-egress/signet/internal/boltfile"
	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/receipts"
)

const (
	fileName = "journal.db"
	format   = "signet.journal/1"
)

// The buckets of journal.db.
var (
	metaBucket    = []byte("meta")    // format, chain, tenant
	intentsBucket = []byte("intents") // receipt id → draft of its receipt, see draft.go
	recordsBucket = []byte("records") // seq, 8 bytes big-endian → canonical line
	keysBucket    = []byte("keys")    // seq, as in records → the line there that introduces a key: the genesis, key changes
	tracesBucket  = []byte("traces")  // seq of a trace's newest hop → hop, hash, trace id; see hopIndex
	sealedBucket  = []byte("sealed")  // seq of its first record → sealedFile; made by the first sealing
)

var (
	formatKey = []byte("format")
	chainKey  = []byte("chain")
	tenantKey = []byte("tenant")
	prunedKey = []byte("pruned") // absent while nothing was
)

// fill is how full pages of ascending keys are left: nothing is inserted there
// later.
const fill = 0.98

// store is the open file.
type store struct {
	path string
	db   *bbolt.DB
	file *os.File // db's own; bbolt closes it
	// broken: bbolt panicked, and may hold its own locks for ever
	broken bool
}

// Head is the newest record of a chain.
type Head struct {
	Chain string // chain id
	Seq   int64
	Hash  string // receipt_hash
	TS    time.Time
}

// openStore opens an existing file, whose pages are checked first, under bbolt's
// lock. What it returns instead of a panic is a *CorruptError.
func openStore(path string, readOnly bool) (*store, error) {
	s := &store{path: path}
	err := contain(func() (err error) {
		s.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:         1, // one try
			NoFreelistSync:  true,
			FreelistType:    bbolt.FreelistMapType,
			PreLoadFreelist: !readOnly,
			ReadOnly:        readOnly,
			NoStatistics:    true,
			OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
				s.file, err = openChecked(name, flag&^os.O_CREATE, mode)
				return s.file, err
			},
		})
		return err
	})
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, durable.ErrLocked), errors.Is(err, bolterrors.ErrTimeout):
		return nil, &LockedError{Dir: filepath.Dir(path)}
	case isPanic(err):
		if s.file != nil {
			_ = s.file.Close() // bbolt died with it
		}
		return nil, &CorruptError{Path: path, Err: err}
	}
	return nil, err
}

// openChecked opens the file for bbolt and takes the lock that bbolt takes
// again on the same descriptor.
func openChecked(name string, flag int, mode fs.FileMode) (_ *os.File, err error) {
	f, err := os.OpenFile(name, flag, mode)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the first error counts
		}
	}()
	if err := durable.TryLock(f, flag&os.O_RDWR != 0); err != nil {
		return nil, fmt.Errorf("lock journal %s: %w", name, err)
	}
	if err := boltfile.Check(f); err != nil {
		return nil, &CorruptError{Path: name, Err: err}
	}
	return f, nil
}

// view runs f in a read transaction, and contains what it panics with.
func (s *store) view(f func(*bbolt.Tx) error) error {
	return contain(func() error { return s.db.View(f) })
}

func (s *store) pageSize() int64 { return int64(s.db.Info().PageSize) }

func (s *store) close() error {
	closing := s.db.Close
	if s.broken {
		closing = s.file.Close
	}
	if err := closing(); err != nil {
		return fmt.Errorf("close journal %s: %w", s.path, err)
	}
	return nil
}

// contents is what a journal holds beside its records.
type contents struct {
	chain, tenant string
	head          Head
	headRecord    receipts.Record
	keys          []receipts.ChainKey // the last one signs
	txid          int
	used          int64             // bytes of the file that bbolt has handed out
	intents       map[string][]byte // drafts by receipt id
	hops          *hopIndex
	archive       *archive
	bytes         int64 // of the records in the database
}

// load reads the contents. It fails closed: whatever is missing or does not fit
// is an error.
func (s *store) load() (*contents, error) {
	c := &contents{intents: make(map[string][]byte)}
	err := s.view(func(tx *bbolt.Tx) error {
		c.txid, c.used = tx.ID(), tx.Size()
		if err := c.loadMeta(tx); err != nil {
			return err
		}
		if err := c.loadHead(tx); err != nil {
			return err
		}
		if err := c.loadKeys(tx.Bucket(keysBucket)); err != nil {
			return err
		}
		if err := c.loadIntents(tx); err != nil {
			return err
		}
		if err := c.loadHops(tx); err != nil {
			return err
		}
		return c.loadSealed(tx, filepath.Dir(s.path))
	})
	if v, ok := errors.AsType[*VersionError](err); ok {
		v.Path = s.path
		return nil, v
	}
	if err != nil {
		return nil, &CorruptError{Path: s.path, Err: err}
	}
	return c, nil
}

func (c *contents) loadMeta(tx *bbolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return &VersionError{}
	}
	if found := string(meta.Get(formatKey)); found != format {
		return &VersionError{Found: found}
	}
	for _, name := range [][]byte{intentsBucket, recordsBucket, keysBucket, tracesBucket} {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("bucket %s is missing", name)
		}
	}
	c.chain, c.tenant = string(meta.Get(chainKey)), string(meta.Get(tenantKey))
	if c.chain == "" {
		return errors.New("the chain id is missing")
	}
	return nil
}

func (c *contents) loadHead(tx *bbolt.Tx) error {
	k, line := tx.Bucket(recordsBucket).Cursor().Last()
	if len(k) != 8 {
		return errors.New("it holds no record")
	}
	rec, err := receipts.Decode(line)
	if err != nil {
		return fmt.Errorf("newest record: %w", err)
	}
	h := rec.RecordHead()
	if h.Chain.Seq != seqOf(k) || h.Chain.ID != c.chain {
		return fmt.Errorf("newest record: it is seq %d of chain %s and stands at %d of %s", h.Chain.Seq, h.Chain.ID, seqOf(k), c.chain)
	}
	c.head = Head{Chain: c.chain, Seq: h.Chain.Seq, Hash: h.ReceiptHash, TS: h.TS}
	c.headRecord = rec
	return nil
}

// anyHead is well-formed: what records are validated with before they have a
// place.
func (c *contents) anyHead() receipts.Head {
	return receipts.Head{Chain: receipts.Chain{ID: c.chain, Seq: 2, Prev: anyDigest}, TS: c.head.TS, KID: c.headRecord.RecordHead().KID}
}

// hashOf is the receipt_hash of a record, or "" where the file does not have it.
func (s *store) hashOf(seq int64) (hash string, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		key := seqKey(seq)
		line := tx.Bucket(recordsBucket).Get(key[:])
		if line == nil {
			return nil
		}
		rec, err := receipts.Decode(line)
		if err != nil {
			return &CorruptError{Path: s.path, Err: fmt.Errorf("record %d: %w", seq, err)}
		}
		hash = rec.RecordHead().ReceiptHash
		return nil
	})
	return hash, err
}

func (c *contents) loadKeys(b *bbolt.Bucket) error {
	var introductions []receipts.Record
	err := b.ForEach(func(k, line []byte) error {
		rec, err := receipts.Decode(line)
		if err != nil {
			return fmt.Errorf("key %x: %w", k, err)
		}
		if h := rec.RecordHead(); len(k) != 8 || h.Chain.Seq != seqOf(k) || h.Chain.ID != c.chain || h.Chain.Seq > c.head.Seq {
			return fmt.Errorf("key %x is introduced by seq %d of chain %s, and the newest record is seq %d of %s",
				k, h.Chain.Seq, h.Chain.ID, c.head.Seq, c.chain)
		}
		if g, ok := rec.(*receipts.Genesis); ok && g.Tenant != c.tenant {
			return fmt.Errorf("the tenant is %q, and the genesis says %q", c.tenant, g.Tenant)
		}
		introductions = append(introductions, rec)
		return nil
	})
	if err == nil {
		c.keys, err = receipts.Introduced(introductions)
	}
	if err == nil && len(c.keys) == 0 {
		err = errors.New("it holds no key")
	}
	return err
}

func (c *contents) loadIntents(tx *bbolt.Tx) error {
	return tx.Bucket(intentsBucket).ForEach(func(id, draft []byte) error {
		if _, err := unknownReceipt(draft, c.anyHead()); err != nil {
			return fmt.Errorf("intent %q: %w", id, err)
		}
		c.intents[string(id)] = append([]byte(nil), draft...)
		return nil
	})
}

func (c *contents) loadHops(tx *bbolt.Tx) (err error) {
	c.hops, err = loadHopIndex(tx.Bucket(tracesBucket), c.head.Seq)
	return err
}

// loadSealed reads the list of sealed files, and makes sure that the records in
// the database go on where they end.
func (c *contents) loadSealed(tx *bbolt.Tx, dir string) (err error) {
	if c.archive, err = loadArchive(tx, dir); err != nil {
		return err
	}
	last := c.archive.last()
	k, line := tx.Bucket(recordsBucket).Cursor().First()
	switch first := seqOf(k); {
	case first > last.Last+1:
		return fmt.Errorf("the records %d to %d are missing", last.Last+1, first-1)
	case first == last.Last+1 && first > 1:
		rec, err := receipts.Decode(line)
		if err != nil {
			return fmt.Errorf("record %d: %w", first, err)
		}
		if prev := rec.RecordHead().Chain.Prev; prev != last.Hash {
			return fmt.Errorf("record %d follows %s, and record %d has the hash %s", first, prev, last.Last, last.Hash)
		}
	}
	return nil
}

// clean tells whether nothing is left to recover: the chain ends with a clean
// stop, or has only begun.
func (c *contents) clean() bool {
	if e, ok := c.headRecord.(*receipts.Event); ok {
		return e.Event == receipts.EventStop
	}
	_, genesis := c.headRecord.(*receipts.Genesis)
	return genesis
}

// hashOf is the receipt_hash of a stored record.
func hashOf(line []byte) (string, error) {
	rec, err := receipts.Decode(line)
	if err != nil {
		return "", err
	}
	return rec.RecordHead().ReceiptHash, nil
}

// seqKey makes seqs, which are never negative, ascend as bytes.
func seqKey(seq int64) (k [8]byte) {
	binary.BigEndian.PutUint64(k[:], uint64(seq))
	return k
}

func seqOf(k []byte) int64 {
	return int64(binary.BigEndian.Uint64(k))
}

// panicError is a panic of bbolt's, or a fault in its mapping.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprint(e.value) }

func isPanic(err error) bool {
	_, ok := errors.AsType[*panicError](err)
	return ok
}

// contain runs f and returns its panic, or its fault in mapped memory, as an
// error: the file is at fault then, and the process has others to serve.
func contain(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v}
		}
	}()
	return f()
}
