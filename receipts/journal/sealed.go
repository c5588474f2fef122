package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/internal/durable"
)

// sealedFile is one immutable file of records: gzip (RFC 1952) of one canonical
// record a line. It is named for the seq of its first record, so that the
// directory alone says where a record is. In the sealed bucket it stands as
// encoding/json, under First.
type sealedFile struct {
	First int64     `json:"first"`
	Last  int64     `json:"last"`
	Hash  string    `json:"hash"` // receipt_hash of the last record
	TS    time.Time `json:"ts"`   // of the last record
	Bytes int64     `json:"bytes"`
	Lost  bool      `json:"lost,omitempty"` // a gap event has owned up to its loss
}

func (f *sealedFile) onDisk() int64 {
	if f.Lost {
		return 0
	}
	return f.Bytes
}

const sealedSuffix = ".jsonl.gz"

// name has six digits, or as many as the seq needs.
func (f *sealedFile) name() string { return sealedName(f.First) }

func sealedName(first int64) string { return fmt.Sprintf("%06d%s", first, sealedSuffix) }

// firstOf is the seq that a sealed file's name states; ok is false for the name
// of any other file.
func firstOf(name string) (first int64, ok bool) {
	digits, ok := strings.CutSuffix(name, sealedSuffix)
	if !ok {
		return 0, false
	}
	first, err := strconv.ParseInt(digits, 10, 64)
	return first, err == nil && first > 0 && sealedName(first) == name
}

// pruned is the end of what retention has removed; zero for nothing.
type pruned struct {
	Last int64  `json:"last"`
	Hash string `json:"hash"` // receipt_hash of that record
}

// archive is the sealed part of the chain: which files hold it. Many goroutines
// may read it; what changes it is sealing.
type archive struct {
	dir string

	mu     sync.RWMutex
	files  []sealedFile // in order, without gaps
	pruned pruned

	size atomic.Int64 // bytes that the files take on the disk
}

func (a *archive) path(f *sealedFile) string { return filepath.Join(a.dir, f.name()) }

// last is the newest record that is sealed or was pruned; zero for none.
func (a *archive) last() pruned {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if n := len(a.files); n > 0 {
		return pruned{Last: a.files[n-1].Last, Hash: a.files[n-1].Hash}
	}
	return a.pruned
}

// gone is the end of what was pruned.
func (a *archive) gone() pruned {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.pruned
}

func (a *archive) list() []sealedFile {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.Clone(a.files)
}

// find returns the file with the record seq, or the first one behind it.
func (a *archive) find(seq int64) (f sealedFile, ok bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(a.files, seq, func(f sealedFile, seq int64) int { return int(min(1, max(-1, f.Last-seq))) })
	if i == len(a.files) {
		return f, false
	}
	return a.files[i], true
}

func (a *archive) add(f *sealedFile) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.push(*f)
}

func (a *archive) push(f sealedFile) {
	a.files = append(a.files, f)
	a.size.Add(f.onDisk())
}

// drop forgets the first n files, which were pruned.
func (a *archive) drop(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range n {
		a.size.Add(-a.files[i].onDisk())
	}
	a.pruned = pruned{Last: a.files[n-1].Last, Hash: a.files[n-1].Hash}
	a.files = slices.Clone(a.files[n:])
}

// loadArchive reads what the database says of sealed files.
func loadArchive(tx *bbolt.Tx, dir string) (*archive, error) {
	a := &archive{dir: dir}
	if mark := tx.Bucket(metaBucket).Get(prunedKey); mark != nil {
		if err := json.Unmarshal(mark, &a.pruned); err != nil {
			return nil, fmt.Errorf("what was pruned: %w", err)
		}
	}
	bucket := tx.Bucket(sealedBucket)
	if bucket == nil {
		return a, nil // nothing was sealed yet
	}
	next := a.pruned.Last + 1
	err := bucket.ForEach(func(k, v []byte) error {
		var f sealedFile
		if err := json.Unmarshal(v, &f); err != nil {
			return fmt.Errorf("sealed file %x: %w", k, err)
		}
		if len(k) != 8 || seqOf(k) != f.First || f.First != next || f.Last < f.First {
			return fmt.Errorf("sealed file %s with the records %d to %d stands where record %d should", f.name(), f.First, f.Last, next)
		}
		next = f.Last + 1
		a.push(f)
		return nil
	})
	return a, err
}

// inspect holds the directory against the database: each file must be there, in
// its size. What sealing or pruning has left halfway are the unlisted files, and
// the temporary ones.
func (a *archive) inspect() (unlisted []int64, temporary []string, err error) {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("sealed files: %w", err)
	}
	sizes := make(map[int64]int64)
	for _, e := range entries {
		if base, _, ok := strings.Cut(strings.TrimPrefix(e.Name(), "."), sealedSuffix+"."); ok && durable.TemporaryOf(base+sealedSuffix, e.Name()) {
			temporary = append(temporary, filepath.Join(a.dir, e.Name()))
		}
		first, ok := firstOf(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, nil, fmt.Errorf("sealed files: %w", err)
		}
		sizes[first] = info.Size()
	}
	var damage []error
	for i := range a.files {
		f := &a.files[i]
		size, there := sizes[f.First]
		delete(sizes, f.First)
		if err := f.fits(size, there); err != nil {
			damage = append(damage, &CorruptError{Path: a.path(f), First: f.First, Last: f.Last, Err: err})
		}
	}
	for first := range sizes {
		unlisted = append(unlisted, first)
	}
	slices.Sort(unlisted)
	return unlisted, temporary, errors.Join(damage...)
}

func (f *sealedFile) fits(size int64, there bool) error {
	switch {
	case f.Lost:
	case !there:
		return errors.New("it is missing")
	case size != f.Bytes:
		return fmt.Errorf("it has %d bytes and was written with %d", size, f.Bytes)
	}
	return nil
}
