package journal

import (
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
)

// budget is the disk space that the journal gives itself: the database's file,
// which never becomes smaller, and the sealed files.
type budget struct {
	limits  *Limits
	archive *archive
	logger  *slog.Logger

	database atomic.Int64 // bytes of the file; the writer's
	high     atomic.Bool  // above the high-water mark, and the log has it
}

// budgetError says that the hard mark is reached. It is as a full disk is, but
// for what to do about it.
type budgetError struct{ used, mark int64 }

func (e *budgetError) Error() string {
	return fmt.Sprintf("%d bytes of %d are taken", e.used, e.mark)
}

func (b *budget) used() int64 { return b.database.Load() + b.archive.size.Load() }

// exceeded is the *budgetError while more bytes would reach the hard mark, or
// nil.
func (b *budget) exceeded(more int64) error {
	if used := b.used(); used+more >= b.limits.HardMark {
		return &budgetError{used: used, mark: b.limits.HardMark}
	}
	return nil
}

// within has an allocator stay below the hard mark, and keeps account of it.
func (b *budget) within(allocate allocator) allocator {
	return func(f *os.File, off, size int64) error {
		grows := off + size - b.database.Load()
		if b.database.Load() > 0 && grows > 0 {
			if err := b.exceeded(grows); err != nil {
				return err
			}
		}
		if err := allocate(f, off, size); err != nil {
			return err
		}
		b.database.Store(max(off+size, b.database.Load()))
		return nil
	}
}

// watch tells of the high-water mark once in each direction.
func (b *budget) watch() {
	used := b.used()
	if high := used >= b.limits.HighWater; b.high.Swap(high) != high {
		if high {
			b.logger.Warn("journal: above the high-water mark of its disk budget; egress is denied at the hard mark",
				"used", used, "high_water", b.limits.HighWater, "hard_mark", b.limits.HardMark)
		} else {
			b.logger.Info("journal: below the high-water mark again", "used", used)
		}
	}
}
