package store

import (
	"context"
	"time"
)

// Log is a tenant's Merkle log. Its leaves are the records' hashes, the 32 bytes
// that receipt_hash holds in hex, in the order in which a sequencer took them
// from the queue that Append fills.
type Log interface {
	// LogState is how far the log is; Size 0 for one that has not begun.
	LogState(ctx context.Context, tenant string) (LogState, error)
	// Tile is a tile of hashes (C2SP tlog-tiles) as far as it is filled: a multiple
	// of 32 bytes, at most 8,192. ErrNotFound where the log has not reached it.
	Tile(ctx context.Context, tenant string, level int, n int64) ([]byte, error)
	// LeafIndex is a record's place in the log. ErrNotFound where it is not logged.
	LeafIndex(ctx context.Context, tenant, chain string, seq int64) (int64, error)
	// LogEntries are the log's leaves from an index on, limit at most.
	LogEntries(ctx context.Context, tenant string, from int64, limit int) ([]Leaf, error)
	// Waiting is what the queue holds, as far as its first 1,000 runs.
	Waiting(ctx context.Context, tenant string) (Waiting, error)
	// Sequence takes at most most records from the queue into the log, in one
	// transaction under the lock of the log's row. Where there are none, or another
	// has the lock, it does nothing. It returns how many it took.
	Sequence(ctx context.Context, tenant string, most int, grow Grow) (int, error)
	// Cosignatures are what witnesses have said of the log's checkpoints, of the larger
	// trees first.
	Cosignatures(ctx context.Context, tenant string) ([]Cosignature, error)
	// AddCosignature keeps one, in the place of what the witness said of a tree of the
	// size before. It drops those of checkpoints all of whose witnesses have cosigned
	// one larger checkpoint too, so that there are few.
	AddCosignature(ctx context.Context, tenant string, c Cosignature) error
}

// Cosignature is a witness's on a checkpoint (C2SP tlog-cosignature), verified.
type Cosignature struct {
	Size       int64     // of the checkpoint's tree
	Witness    string    // its verifier key (C2SP signed-note)
	Checkpoint []byte    // as the log signed it
	Line       string    // that goes below it, without the newline
	At         time.Time // when the witness signed, by its clock
}

// Waiting is what waits for a log.
type Waiting struct {
	Records int64
	Since   time.Time // when the first in the queue was received; zero: nothing waits
}

// Add makes w what waits for two logs.
func (w *Waiting) Add(other Waiting) {
	w.Records += other.Records
	if w.Since.IsZero() || !other.Since.IsZero() && other.Since.Before(w.Since) {
		w.Since = other.Since
	}
}

// LogState is a log's newest checkpoint.
type LogState struct {
	Size       int64
	Root       [32]byte
	Checkpoint []byte // a signed note (C2SP tlog-checkpoint); nil at size 0
	At         time.Time
}

// Leaf is an entry of the log and the record that it stands for.
type Leaf struct {
	Hash  [32]byte // of the record; zero where it was removed
	Chain string
	Seq   int64
}

// Grow computes what a log becomes with leaves. tile reads the stored tiles.
type Grow func(ctx context.Context, old LogState, leaves [][32]byte, tile func(level int, n int64) ([]byte, error)) (Growth, error)

// Growth is what becomes of a log.
type Growth struct {
	State LogState
	Tiles []Tile // new and grown ones, whole
}

// Tile is a tile of hashes.
type Tile struct {
	Level int
	N     int64
	Data  []byte
}
