// Package merkle is a tenant's log (RFC 6962, section 2.1): how it grows, what it
// proves, and the checkpoints that the collector signs of it.
//
// A leaf's data is the 32 bytes of a record's receipt_hash. Hashes are kept in
// tiles of height 8 (C2SP tlog-tiles), without the data's own tiles: the data is
// the records. Checkpoints are C2SP tlog-checkpoints.
package merkle

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts/logproof"
)

// Signer signs the logs of all tenants.
type Signer struct {
	name string // of the collector: the part of every log's origin before the tenant
	key  ed25519.PrivateKey
}

// NewSigner returns a Signer for the collector of this name, such as
// collector.example.com, which must not change: it is part of what is signed.
func NewSigner(name string, key ed25519.PrivateKey) *Signer { return &Signer{name, key} }

// Origin names a tenant's log, in its checkpoints and as the name of their key.
func (s *Signer) Origin(tenant string) string { return s.name + "/" + tenant }

// VerifierKey is what checkpoints of a tenant's log verify with (C2SP signed-note).
func (s *Signer) VerifierKey(tenant string) (string, error) {
	pub, ok := s.key.Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("the log's key is not an Ed25519 key")
	}
	return note.NewEd25519VerifierKey(s.Origin(tenant), pub)
}

// Grow returns what makes a tenant's log longer, for store.Log.
func (s *Signer) Grow(tenant string, now time.Time) store.Grow {
	return func(ctx context.Context, old store.LogState, leaves [][32]byte, tile func(int, int64) ([]byte, error)) (store.Growth, error) {
		hashes := newGrowing(tlog.Tree{N: old.Size, Hash: old.Root}, &tiles{ctx: ctx, read: func(_ context.Context, level int, n int64) ([]byte, error) {
			return tile(level, n)
		}})
		for i, leaf := range leaves {
			if err := hashes.append(old.Size+int64(i), leaf); err != nil {
				return store.Growth{}, fmt.Errorf("grow the log of %s: %w", tenant, err)
			}
		}
		size := old.Size + int64(len(leaves))
		root, err := tlog.TreeHash(size, hashes)
		if err != nil {
			return store.Growth{}, fmt.Errorf("grow the log of %s: %w", tenant, err)
		}
		checkpoint, err := s.sign(tenant, tlog.Tree{N: size, Hash: root})
		if err != nil {
			return store.Growth{}, fmt.Errorf("sign the log of %s: %w", tenant, err)
		}
		g := store.Growth{State: store.LogState{Size: size, Root: root, Checkpoint: checkpoint, At: now}}
		for _, t := range tlog.NewTiles(logproof.TileHeight, old.Size, size) {
			data, err := tlog.ReadTileData(t, hashes)
			if err != nil {
				return store.Growth{}, fmt.Errorf("tile %s of the log of %s: %w", t.Path(), tenant, err)
			}
			g.Tiles = append(g.Tiles, store.Tile{Level: t.L, N: t.N, Data: data})
		}
		return g, nil
	}
}

// growing are the hashes of a tree that grows: those that stand in tiles, checked
// against the old root, and the new ones.
type growing struct {
	old   tlog.HashReader
	begin int64 // index of the first new hash
	added []tlog.Hash
}

func newGrowing(old tlog.Tree, t *tiles) *growing {
	g := &growing{begin: tlog.StoredHashCount(old.N)}
	if old.N > 0 {
		g.old = tlog.TileHashReader(old, t)
	}
	return g
}

func (g *growing) append(n int64, leaf [32]byte) error {
	hashes, err := tlog.StoredHashesForRecordHash(n, tlog.RecordHash(leaf[:]), g)
	g.added = append(g.added, hashes...)
	return err
}

// ReadHashes implements tlog.HashReader.
func (g *growing) ReadHashes(indices []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indices))
	var old []int64
	var at []int
	for i, index := range indices {
		if index < g.begin {
			old, at = append(old, index), append(at, i)
			continue
		}
		if index-g.begin >= int64(len(g.added)) {
			return nil, fmt.Errorf("hash %d is not there yet", index)
		}
		out[i] = g.added[index-g.begin]
	}
	if len(old) == 0 {
		return out, nil
	}
	hashes, err := g.old.ReadHashes(old)
	if err != nil {
		return nil, err
	}
	for i, h := range hashes {
		out[at[i]] = h
	}
	return out, nil
}

// tiles reads tiles as package tlog asks for them.
type tiles struct {
	ctx  context.Context // tlog.TileReader has no room for it; it lives for one call
	read func(ctx context.Context, level int, n int64) ([]byte, error)
}

// Height implements tlog.TileReader.
func (*tiles) Height() int { return logproof.TileHeight }

// ReadTiles implements tlog.TileReader.
func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(wanted))
	for i, w := range wanted {
		data, err := t.read(t.ctx, w.L, w.N)
		if err != nil {
			return nil, fmt.Errorf("tile %s: %w", w.Path(), err)
		}
		if len(data) < w.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %s has %d of %d bytes", w.Path(), len(data), w.W*tlog.HashSize)
		}
		out[i] = data[:w.W*tlog.HashSize]
	}
	return out, nil
}

// SaveTiles implements tlog.TileReader.
func (*tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (s *Signer) sign(tenant string, tree tlog.Tree) ([]byte, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", s.Origin(tenant), tree.N, base64.StdEncoding.EncodeToString(tree.Hash[:]))
	vkey, err := s.VerifierKey(tenant)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: text}, signer{verifier, s.key})
}

// signer is a note.Signer of a key that is at hand as such.
type signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

// Sign implements note.Signer.
func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }
