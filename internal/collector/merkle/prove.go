package merkle

import (
	"context"
	"encoding/hex"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Reader is what proofs are made from.
type Reader interface {
	LogState(ctx context.Context, tenant string) (store.LogState, error)
	LeafIndex(ctx context.Context, tenant, chain string, seq int64) (int64, error)
	Tile(ctx context.Context, tenant string, level int, n int64) ([]byte, error)
	Cosignatures(ctx context.Context, tenant string) ([]store.Cosignature, error)
}

// Prover proves what a log holds. Each hash that it reads is checked against the
// log's root, so that a damaged store gives no wrong proof.
type Prover struct{ Store Reader }

// Proof is a proof of RFC 6962, section 2.1, up to a checkpoint.
type Proof struct {
	Index      int64    // of the leaf, where it is one of inclusion
	Size       int64    // of the checkpoint's tree
	Hashes     []string // in hex, from the leaf's end of the tree to the root's
	Checkpoint string   // C2SP tlog-checkpoint, with the lines of its witnesses
	By         []store.Cosignature
}

// Inclusion proves that a record is in the log, up to the checkpoint that the most
// witnesses have cosigned, and of these the newest. store.ErrNotFound where it
// waits for the log.
func (p Prover) Inclusion(ctx context.Context, tenant, chain string, seq int64) (*Proof, error) {
	// The index before the checkpoints: what is logged by then, the newest covers.
	index, err := p.Store.LeafIndex(ctx, tenant, chain, seq)
	if err != nil {
		return nil, err
	}
	all, err := p.Checkpoints(ctx, tenant)
	if err != nil {
		return nil, err
	}
	c := covering(all, index)
	if c == nil {
		return nil, fmt.Errorf("no checkpoint of the log of %s covers leaf %d", tenant, index)
	}
	hashes, err := tlog.ProveRecord(c.N, index, p.hashes(ctx, tenant, c.Tree))
	if err != nil {
		return nil, fmt.Errorf("prove leaf %d of %d of the log of %s: %w", index, c.N, tenant, err)
	}
	return &Proof{Index: index, Size: c.N, Hashes: hexes(hashes), Checkpoint: string(c.Note()), By: c.By}, nil
}

// Consistency proves that a checkpoint extends the tree of an older size.
func (p Prover) Consistency(ctx context.Context, tenant string, old int64, c *Checkpoint) (*Proof, error) {
	hashes, err := p.Extends(ctx, tenant, old, c.Tree)
	if err != nil {
		return nil, err
	}
	return &Proof{Size: c.N, Hashes: hexes(hashes), Checkpoint: string(c.Note()), By: c.By}, nil
}

// Extends proves that a tree of a log extends the one of an older size, 1 at least.
func (p Prover) Extends(ctx context.Context, tenant string, old int64, tree tlog.Tree) (tlog.TreeProof, error) {
	hashes, err := tlog.ProveTree(tree.N, old, p.hashes(ctx, tenant, tree))
	if err != nil {
		return nil, fmt.Errorf("prove that %d extends %d in the log of %s: %w", tree.N, old, tenant, err)
	}
	return hashes, nil
}

func (p Prover) hashes(ctx context.Context, tenant string, tree tlog.Tree) tlog.HashReader {
	return tlog.TileHashReader(tree, &tiles{ctx: ctx, read: func(ctx context.Context, level int, n int64) ([]byte, error) {
		return p.Store.Tile(ctx, tenant, level, n)
	}})
}

func hexes[P ~[]tlog.Hash](proof P) []string {
	out := make([]string, len(proof))
	for i, h := range proof {
		out[i] = hex.EncodeToString(h[:])
	}
	return out
}
