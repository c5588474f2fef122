package merkle

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts/logproof"
)

// Holds tells whether the log has a record with a receipt_hash as that at a place of
// a chain, by the leaf alone: the record itself may have been removed.
func (p Prover) Holds(ctx context.Context, tenant, chain string, seq int64, receiptHash string) (bool, error) {
	index, err := p.Store.LeafIndex(ctx, tenant, chain, seq)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	wanted, err := logproof.LeafOf(receiptHash)
	if err != nil {
		return false, err
	}
	state, err := p.Store.LogState(ctx, tenant)
	if err != nil {
		return false, err
	}
	leaf, err := p.hashes(ctx, tenant, tlog.Tree{N: state.Size, Hash: state.Root}).ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	if err != nil {
		return false, fmt.Errorf("read leaf %d of %d of the log of %s: %w", index, state.Size, tenant, err)
	}
	return leaf[0] == wanted, nil
}
