package merkle

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Reader is what proofs are made from.
type Reader interface {
	LogState(ctx context.Context, tenant string) (store.LogState, error)
	Tile(ctx context.Context, tenant string, level int, n int64) ([]byte, error)
}

// Prover proves what a log holds. Each hash that it reads is checked against the
// log's root, so that a damaged store gives no wrong proof.
type Prover struct{ Store Reader }

// Inclusion proves that the leaf at index is in the tree of that size.
func (p Prover) Inclusion(ctx context.Context, tenant string, index, size int64) ([][32]byte, error) {
	hashes, err := p.hashes(ctx, tenant, size)
	if err != nil {
		return nil, err
	}
	proof, err := tlog.ProveRecord(size, index, hashes)
	if err != nil {
		return nil, fmt.Errorf("prove leaf %d of %d of the log of %s: %w", index, size, tenant, err)
	}
	return plain(proof), nil
}

// Consistency proves that the tree of size extends the tree of old.
func (p Prover) Consistency(ctx context.Context, tenant string, old, size int64) ([][32]byte, error) {
	hashes, err := p.hashes(ctx, tenant, size)
	if err != nil {
		return nil, err
	}
	proof, err := tlog.ProveTree(size, old, hashes)
	if err != nil {
		return nil, fmt.Errorf("prove that %d extends %d in the log of %s: %w", size, old, tenant, err)
	}
	return plain(proof), nil
}

// hashes reads the log as it is, which a tree of size is a part of.
func (p Prover) hashes(ctx context.Context, tenant string, size int64) (tlog.HashReader, error) {
	state, err := p.Store.LogState(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if size < 1 || size > state.Size {
		return nil, fmt.Errorf("the log of %s has %d leaves, not %d", tenant, state.Size, size)
	}
	return tlog.TileHashReader(tlog.Tree{N: state.Size, Hash: state.Root}, &tiles{ctx: ctx, read: func(ctx context.Context, level int, n int64) ([]byte, error) {
		return p.Store.Tile(ctx, tenant, level, n)
	}}), nil
}

func plain[P ~[]tlog.Hash](proof P) [][32]byte {
	out := make([][32]byte, len(proof))
	for i, h := range proof {
		out[i] = h
	}
	return out
}
