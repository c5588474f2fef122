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
}

// Prover proves what a log holds. Each hash that it reads is checked against the
// log's root, so that a damaged store gives no wrong proof.
type Prover struct{ Store Reader }

// Proof is a proof of RFC 6962, section 2.1, up to a checkpoint.
type Proof struct {
	Index      int64    // of the leaf, where it is one of inclusion
	Size       int64    // of the checkpoint's tree
	Hashes     []string // in hex, from the leaf's end of the tree to the root's
	Checkpoint string   // C2SP tlog-checkpoint
}

// Inclusion proves that a record is in the log, up to the newest checkpoint.
// store.ErrNotFound where it waits for the log.
func (p Prover) Inclusion(ctx context.Context, tenant, chain string, seq int64) (*Proof, error) {
	// The index before the state: what is logged by then, the checkpoint covers.
	index, err := p.Store.LeafIndex(ctx, tenant, chain, seq)
	if err != nil {
		return nil, err
	}
	state, err := p.Store.LogState(ctx, tenant)
	if err != nil {
		return nil, err
	}
	hashes, err := tlog.ProveRecord(state.Size, index, p.hashes(ctx, tenant, &state))
	if err != nil {
		return nil, fmt.Errorf("prove leaf %d of %d of the log of %s: %w", index, state.Size, tenant, err)
	}
	return &Proof{Index: index, Size: state.Size, Hashes: hexes(hashes), Checkpoint: string(state.Checkpoint)}, nil
}

// Consistency proves that a log's state extends the tree of an older size.
func (p Prover) Consistency(ctx context.Context, tenant string, old int64, state *store.LogState) (*Proof, error) {
	hashes, err := tlog.ProveTree(state.Size, old, p.hashes(ctx, tenant, state))
	if err != nil {
		return nil, fmt.Errorf("prove that %d extends %d in the log of %s: %w", state.Size, old, tenant, err)
	}
	return &Proof{Size: state.Size, Hashes: hexes(hashes), Checkpoint: string(state.Checkpoint)}, nil
}

func (p Prover) hashes(ctx context.Context, tenant string, state *store.LogState) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: state.Size, Hash: state.Root}, &tiles{ctx: ctx, read: func(ctx context.Context, level int, n int64) ([]byte, error) {
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
