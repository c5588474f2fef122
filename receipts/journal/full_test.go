package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/receipts"
)

// TestAllocationFails has no room for another chunk: intents are refused, open
// ones finish, and it goes on by itself when there is room.
func TestAllocationFails(t *testing.T) {
	var full atomic.Bool
	o := options(t.TempDir())
	o.hooks.allocate = func(f *os.File, off, size int64) error {
		if full.Load() {
			return fmt.Errorf("allocate: %w", syscall.ENOSPC)
		}
		return durable.Allocate(f, off, size)
	}
	j := open(t, o)
	defer closeJournal(t, j)
	full.Store(true)
	opened := beginUntilFull(t, j)
	err := j.Err()
	for _, part := range []string{"disk is full", filepath.Join(o.Dir, fileName), "free space"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
	finishAll(t, j, opened)
	wantUnavailable(t, j.Err(), true)
	full.Store(false)
	resumed(t, j)
	finish(t, j, forward(begin(t, j, draft("t"))))
	verify(t, j)
}

// TestAllocationIOError is not a full disk.
func TestAllocationIOError(t *testing.T) {
	var broken atomic.Bool
	o := options(t.TempDir())
	o.hooks.allocate = func(f *os.File, off, size int64) error {
		if broken.Load() {
			return syscall.EIO
		}
		return durable.Allocate(f, off, size)
	}
	j := open(t, o)
	defer closeJournal(t, j)
	broken.Store(true)
	for j.Err() == nil {
		if err := j.Begin(draft("t"), ""); err != nil {
			wantUnavailable(t, err, false)
		}
	}
	wantUnavailable(t, j.Err(), false)
}

// beginUntilFull opens intents with several goroutines until one is refused.
func beginUntilFull(t *testing.T, j *Journal) (opened []*receipts.Receipt) {
	t.Helper()
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	for w := range 16 {
		wg.Go(func() {
			for n := 0; ; n++ {
				r := draft(fmt.Sprintf("trace-%d-%d", w, n/2))
				if err := j.Begin(r, ""); err != nil {
					wantUnavailable(t, err, true)
					return
				}
				mu.Lock()
				opened = append(opened, r)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return opened
}

// finishAll finishes with as few commits and as many as there can be: the first
// half one by one, the rest together.
func finishAll(t *testing.T, j *Journal, opened []*receipts.Receipt) {
	t.Helper()
	half := len(opened) / 2
	for _, r := range opened[:half] {
		finish(t, j, long(forward(r)))
	}
	var commits []*Commit
	for _, r := range opened[half:] {
		commits = append(commits, j.Finish(long(forward(r))))
	}
	for _, c := range commits {
		if err := c.Wait(); err != nil {
			t.Fatalf("an open intent cannot finish: %v", err)
		}
	}
}

// long makes a receipt larger than its intent told.
func long(r *receipts.Receipt) *receipts.Receipt {
	r.SemanticViolations = []string{strings.Repeat("v", 512)}
	return r
}

// TestFullDisk is the real thing: a file system of a few megabytes that other
// files fill up.
func TestFullDisk(t *testing.T) {
	dir := smallFileSystem(t, 12<<20)
	seen := new(counter) // no commit may run out of space: it would have been retried unseen
	o := options(dir)
	o.Observer = seen
	j := open(t, o)
	hog := filepath.Join(dir, "hog")
	finish(t, j, forward(begin(t, j, draft("t"))))
	fillUp(t, hog)

	opened := beginUntilFull(t, j)
	if len(opened) < 100 {
		t.Errorf("only %d intents found room", len(opened))
	}
	fillUp(t, filepath.Join(dir, "hog2"))
	finishAll(t, j, opened)
	wantUnavailable(t, j.Begin(draft("t"), ""), true)
	verify(t, j)

	crash(t, j)
	j = open(t, o) // there is room in the file for some more
	more := beginUntilFull(t, j)
	finishAll(t, j, more)
	opened = append(opened, more...)
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	resumed(t, j)
	finish(t, j, forward(begin(t, j, draft("t"))))
	c := verify(t, j)
	for _, r := range opened {
		if got := c.receipts[r.ReceiptID]; got == nil || got.Outcome != receipts.Forwarded {
			t.Fatalf("the exchange %s is %+v", r.ReceiptID, got)
		}
	}
	closeJournal(t, j)
	for _, s := range seen.commits {
		if s.Err != nil {
			t.Errorf("commit %+v", s)
		}
	}
}

// TestFullDiskAtRecovery leaves intents open on a full disk.
func TestFullDiskAtRecovery(t *testing.T) {
	dir := smallFileSystem(t, 12<<20)
	j := open(t, options(dir))
	fillUp(t, filepath.Join(dir, "hog"))
	opened := beginUntilFull(t, j)
	fillUp(t, filepath.Join(dir, "hog2"))
	crash(t, j)
	j = open(t, options(dir))
	defer closeJournal(t, j)
	if c := verify(t, j); len(c.receipts) != len(opened) {
		t.Errorf("%d receipts of %d exchanges", len(c.receipts), len(opened))
	}
	finishAll(t, j, beginUntilFull(t, j)) // what room is left is given out with the same care
}

func TestNoSpaceForAJournal(t *testing.T) {
	dir := smallFileSystem(t, 1<<20)
	fillUp(t, filepath.Join(dir, "hog"))
	_, err := Open(t.Context(), options(dir))
	wantUnavailable(t, err, true)
}

// fillUp writes path until the disk is full.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<16); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
