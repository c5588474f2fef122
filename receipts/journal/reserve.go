package journal

import (
	"fmt"
	"os"
)

// reserve keeps disk blocks for what must still be written: the receipts of the
// open intents. bbolt grows its file by truncate, which allocates nothing, so a
// full disk would show only when pages are written, in the middle of a commit.
// Here the blocks beyond bbolt's high-water mark are allocated before an intent
// is taken that may need them; a commit then stays within blocks that exist,
// and a full disk shows as an intent that is refused.
//
// bbolt's free pages are not counted: they may be scattered, or held by a
// reader. On a copy-on-write file system allocated blocks do not keep later
// writes from failing; such a commit is retried, see writer.retry.
//
// One goroutine owns it.
type reserve struct {
	file     *os.File
	pageSize int64
	allocate allocator

	size int64 // bytes of the file, all with blocks
	used int64 // high-water mark: bytes that bbolt has handed out
	held int64 // bytes for the receipts of the open intents
}

// allocator is durable.Allocate outside tests.
type allocator func(f *os.File, off, size int64) error

const (
	// granule is what the size of the file is a multiple of.
	granule = 256 << 10
	// chunk is how far the file grows at a time.
	chunk = 4 << 20
	// slackPages pay for what a commit rewrites whatever is in it: the paths from
	// the root to the pages that it touches, twice, since freed pages serve the
	// commit after; and for the journal's own events.
	slackPages = 128
	// finishGrowth is by how much a receipt may be larger than its intent: digests
	// and sizes, signature, links.
	finishGrowth = 2 << 10
	// unseenRecord is allowed for a record that has no intent: a denial, an event.
	unseenRecord = 4 << 10
)

// roomFor is the room for the receipt of an intent of n bytes: its own pages,
// and one each of the intents and the traces, which are rewritten for it.
func roomFor(n int, pageSize int64) int64 {
	pages := (int64(n)+finishGrowth)/pageSize + 1
	return (pages + 2) * pageSize
}

func (r *reserve) cost(n int) int64 { return roomFor(n, r.pageSize) }

func (r *reserve) fits(more int64) bool {
	return r.used+r.held+more+slackPages*r.pageSize <= r.size
}

// grow makes room for more beyond what is held: a chunk at a time, or just what
// is needed where no chunk is to be had.
func (r *reserve) grow(more int64) error {
	need := r.used + r.held + more + slackPages*r.pageSize
	err := r.extend(need + chunk)
	if err != nil && isFull(err) {
		err = r.extend(need)
	}
	return err
}

// extend allocates the file up to size. The sync makes its length durable before
// bbolt relies on it, as bbolt's own growth does.
func (r *reserve) extend(size int64) error {
	size = (size + granule - 1) / granule * granule
	if size <= r.size {
		return nil
	}
	if err := r.allocate(r.file, r.size, size-r.size); err != nil {
		return err
	}
	if err := r.file.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	r.size = size
	return nil
}

// newReserve takes stock of an open file, of which the first used bytes are in
// use and held are to be kept for the open intents. Holes, which a copy may
// have, get blocks. It may return an error for which isFull holds together with
// a reserve that is too small.
func newReserve(s *store, used, held int64, allocate allocator) (*reserve, error) {
	info, err := s.file.Stat()
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	r := &reserve{file: s.file, pageSize: s.pageSize(), allocate: allocate, size: info.Size(), used: used, held: held}
	if err := r.allocate(r.file, 0, r.size); err != nil {
		return r, err
	}
	if !r.fits(0) {
		return r, r.grow(0)
	}
	return r, nil
}
