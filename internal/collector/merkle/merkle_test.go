package merkle_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts/logproof"
)

// kept is a log in memory: the store's part of it.
type kept struct {
	state  store.LogState
	tiles  map[[2]int64][]byte
	leaves [][32]byte
	signed []store.Cosignature
}

func (k *kept) LogState(context.Context, string) (store.LogState, error) { return k.state, nil }

func (k *kept) Cosignatures(context.Context, string) ([]store.Cosignature, error) {
	return k.signed, nil
}

// LeafIndex is that of a record of one chain, the only one.
func (k *kept) LeafIndex(_ context.Context, _, _ string, seq int64) (int64, error) {
	if seq > k.state.Size {
		return 0, store.ErrNotFound
	}
	return seq - 1, nil
}

func (k *kept) Tile(_ context.Context, _ string, level int, n int64) ([]byte, error) {
	data, ok := k.tiles[[2]int64{int64(level), n}]
	if !ok {
		return nil, store.ErrNotFound
	}
	return data, nil
}

func (k *kept) grow(ctx context.Context, s *merkle.Signer, n int) error {
	leaves := make([][32]byte, n)
	for i := range leaves {
		leaves[i] = sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(len(k.leaves)+i)))
	}
	g, err := s.Grow("acme", time.Unix(0, 0))(ctx, k.state, leaves, func(level int, n int64) ([]byte, error) { return k.Tile(ctx, "acme", level, n) })
	if err != nil {
		return err
	}
	k.state, k.leaves = g.State, append(k.leaves, leaves...)
	for _, t := range g.Tiles {
		k.tiles[[2]int64{int64(t.Level), t.N}] = t.Data
	}
	return nil
}

func newLog() (*kept, *merkle.Signer) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return &kept{tiles: map[[2]int64][]byte{}}, merkle.NewSigner("collector.example", key)
}

// Every leaf of every tree is proved, and every older tree, across the borders of
// tiles, as package tlog checks it; any other leaf or tree is not.
func TestProofs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, s := newLog()
		ctx := context.Background()
		old := tlog.Tree{}
		for _, n := range rapid.SliceOfN(rapid.IntRange(1, 300), 1, 4).Draw(t, "grown by") {
			if err := k.grow(ctx, s, n); err != nil {
				t.Fatal(err)
			}
			tree := open(t, k, s)
			checkInclusion(t, k, tree, rapid.Int64Range(0, tree.N-1).Draw(t, "leaf"))
			if old.N > 0 {
				checkConsistency(t, k, tree, old)
			}
			old = tree
		}
	})
}

func open(t *rapid.T, k *kept, s *merkle.Signer) tlog.Tree {
	key, err := s.VerifierKey("acme")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := logproof.OpenCheckpoint(k.state.Checkpoint, key)
	if err != nil {
		t.Fatal(err)
	}
	if tree.N != int64(len(k.leaves)) || tree.Hash != k.state.Root {
		t.Fatalf("the checkpoint is of a tree of %d", tree.N)
	}
	return tree
}

func checkInclusion(t *rapid.T, k *kept, tree tlog.Tree, index int64) {
	p, err := merkle.Prover{Store: k}.Inclusion(context.Background(), "acme", "", index+1)
	if err != nil {
		t.Fatal(err)
	}
	if p.Index != index || p.Size != tree.N || p.Checkpoint != string(k.state.Checkpoint) {
		t.Fatalf("leaf %d of %d: the proof is of %d of %d", index, tree.N, p.Index, p.Size)
	}
	proof := tlog.RecordProof(hashesOf(t, p))
	leaf := tlog.RecordHash(k.leaves[index][:])
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil {
		t.Fatalf("leaf %d of %d: %v", index, tree.N, err)
	}
	leaf[0] ^= 1
	if tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf) == nil {
		t.Fatalf("another leaf %d of %d is proved", index, tree.N)
	}
}

func hashesOf(t rapid.TB, p *merkle.Proof) []tlog.Hash {
	hashes := make([]tlog.Hash, len(p.Hashes))
	for i, text := range p.Hashes {
		if _, err := hex.Decode(hashes[i][:], []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return hashes
}

func checkConsistency(t *rapid.T, k *kept, tree, old tlog.Tree) {
	p, err := merkle.Prover{Store: k}.Consistency(context.Background(), "acme", old.N, &merkle.Checkpoint{Tree: tree, Signed: k.state.Checkpoint})
	if err != nil {
		t.Fatal(err)
	}
	proof := tlog.TreeProof(hashesOf(t, p))
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		t.Fatalf("%d to %d: %v", old.N, tree.N, err)
	}
	old.Hash[0] ^= 1
	if tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash) == nil {
		t.Fatalf("another tree of %d is proved", old.N)
	}
}

// A tile that was changed on disk proves nothing, and the log does not grow on it.
func TestDamagedTiles(t *testing.T) {
	k, s := newLog()
	if err := k.grow(t.Context(), s, 300); err != nil {
		t.Fatal(err)
	}
	k.tiles[[2]int64{0, 0}][40] ^= 1
	if _, err := (merkle.Prover{Store: k}).Inclusion(t.Context(), "acme", "", 3); err == nil {
		t.Error("a damaged tile proves a leaf")
	}
	k.tiles[[2]int64{0, 1}][0] ^= 1
	if err := k.grow(t.Context(), s, 1); err == nil {
		t.Error("the log grows on a damaged tile")
	}
}

func TestCheckpointsAreOfOneLog(t *testing.T) {
	k, s := newLog()
	if err := k.grow(t.Context(), s, 3); err != nil {
		t.Fatal(err)
	}
	other, err := s.VerifierKey("other")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := logproof.OpenCheckpoint(k.state.Checkpoint, other); err == nil {
		t.Error("the checkpoint of one tenant's log opens as another's")
	}
	key, err := s.VerifierKey("acme")
	if err != nil {
		t.Fatal(err)
	}
	changed := append([]byte(nil), k.state.Checkpoint...)
	changed[len("collector.example/acme\n")] = '9'
	if _, err := logproof.OpenCheckpoint(changed, key); err == nil {
		t.Error("a changed checkpoint opens")
	}
	if _, err := (merkle.Prover{Store: k}).Inclusion(t.Context(), "acme", "", 4); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a record that is not there yet: %v", err)
	}
	ahead := merkle.Checkpoint{Tree: tlog.Tree{N: k.state.Size + 1, Hash: k.state.Root}}
	if _, err := (merkle.Prover{Store: k}).Consistency(t.Context(), "acme", 1, &ahead); err == nil {
		t.Error("a tree that is not there yet is proved")
	}
}
