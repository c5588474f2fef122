package logproof

import (
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// TileHeight is that of C2SP tlog-tiles.
const TileHeight = 8

// maxLevel is the highest level of tiles: with it a log has room for 2^48 records.
const maxLevel = 5

// TilePath is where C2SP tlog-tiles has a tile, below tile/: LEVEL/INDEX, or
// LEVEL/INDEX.p/WIDTH for one that is not full.
func TilePath(t tlog.Tile) string {
	return strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", TileHeight))
}

// ParseTilePath reads a TilePath of a tile of hashes.
func ParseTilePath(path string) (tlog.Tile, error) {
	t, err := tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", TileHeight, path))
	if err != nil || t.L < 0 || t.L > maxLevel {
		return tlog.Tile{}, fmt.Errorf("%.80q is not the path of a tile of hashes", path)
	}
	return t, nil
}

// Log is a log up to a checkpoint. Whatever is read of it was held against the
// checkpoint's root first.
type Log struct {
	tree   tlog.Tree
	hashes tlog.HashReader
}

// Read returns the log up to the tree of a checkpoint. tile reads the tile at a
// TilePath; each is asked for once and kept, 32 bytes a record and a little.
func Read(tree tlog.Tree, tile func(path string) ([]byte, error)) *Log {
	return &Log{tree: tree, hashes: tlog.TileHashReader(tree, &tiles{read: tile, kept: make(map[tlog.Tile][]byte)})}
}

// Leaves calls fn with the hash of each record, in the order of the log.
func (l *Log) Leaves(fn func(index int64, leaf tlog.Hash)) error {
	const width = 1 << TileHeight
	for first := int64(0); first < l.tree.N; first += width {
		indices := make([]int64, min(width, l.tree.N-first))
		for i := range indices {
			indices[i] = tlog.StoredHashIndex(0, first+int64(i))
		}
		leaves, err := l.hashes.ReadHashes(indices)
		if err != nil {
			return fmt.Errorf("read records %d to %d of the log: %w", first, first+int64(len(indices))-1, err)
		}
		for i, leaf := range leaves {
			fn(first+int64(i), leaf)
		}
	}
	return nil
}

// ForkError says that a log does not extend a tree that its key has signed: what
// stood there was taken out, changed or put in another order.
type ForkError struct{ Old, New tlog.Tree }

func (e *ForkError) Error() string {
	if e.New.N < e.Old.N {
		return fmt.Sprintf("the log had %d records, and has %d now: it was cut", e.Old.N, e.New.N)
	}
	return fmt.Sprintf("the log with %d records does not extend the one with %d whose root was %s: it was rewritten", e.New.N, e.Old.N, e.Old.Hash)
}

// Extends proves that the log extends an older tree. The error is a *ForkError
// where it does not.
func (l *Log) Extends(old tlog.Tree) error {
	switch {
	case old.N > l.tree.N:
		return &ForkError{Old: old, New: l.tree}
	case old.N == 0:
		return nil
	}
	proof, err := tlog.ProveTree(l.tree.N, old.N, l.hashes)
	if err != nil {
		return fmt.Errorf("read what the log had at %d records: %w", old.N, err)
	}
	if tlog.CheckTree(proof, l.tree.N, l.tree.Hash, old.N, old.Hash) != nil {
		return &ForkError{Old: old, New: l.tree}
	}
	return nil
}

// tiles implements tlog.TileReader. What it keeps was read once, and is held
// against the root each time that it is used.
type tiles struct {
	read func(path string) ([]byte, error)
	kept map[tlog.Tile][]byte
}

// Height implements tlog.TileReader.
func (*tiles) Height() int { return TileHeight }

// ReadTiles implements tlog.TileReader.
func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(wanted))
	for i, w := range wanted {
		data, ok := t.kept[w]
		if !ok {
			var err error
			if data, err = t.read(TilePath(w)); err != nil {
				return nil, err
			}
			if len(data) != w.W*tlog.HashSize {
				return nil, fmt.Errorf("tile %s has %d bytes, not %d", TilePath(w), len(data), w.W*tlog.HashSize)
			}
			t.kept[w] = data
		}
		out[i] = data
	}
	return out, nil
}

// SaveTiles implements tlog.TileReader.
func (*tiles) SaveTiles([]tlog.Tile, [][]byte) {}
