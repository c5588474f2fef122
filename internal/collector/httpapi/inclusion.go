package httpapi

import (
	"context"
	"encoding/hex"

	"github.com/signet-egress/signet/internal/collector/store"
)

// ProofReader is what Inclusion asks of the store.
type ProofReader interface {
	LogState(ctx context.Context, tenant string) (store.LogState, error)
	LeafIndex(ctx context.Context, tenant, chain string, seq int64) (int64, error)
}

// Inclusion proves that a record is in the log, up to the newest checkpoint.
// store.ErrNotFound where it waits for the log.
func Inclusion(ctx context.Context, s ProofReader, p Prover, tenant string, rec *store.Record) (*Proof, error) {
	// The index before the state: what is logged by then, the checkpoint covers.
	index, err := s.LeafIndex(ctx, tenant, rec.Chain, rec.Seq)
	if err != nil {
		return nil, err
	}
	state, err := s.LogState(ctx, tenant)
	if err != nil {
		return nil, err
	}
	hashes, err := p.Inclusion(ctx, tenant, index, state.Size)
	if err != nil {
		return nil, err
	}
	return &Proof{
		Chain: rec.Chain, Seq: rec.Seq, Leaf: rec.Hash, Index: &index, Size: state.Size,
		Proof: hexes(hashes), Checkpoint: string(state.Checkpoint),
	}, nil
}

func hexes(hashes [][32]byte) []string {
	out := make([]string, len(hashes))
	for i, h := range hashes {
		out[i] = hex.EncodeToString(h[:])
	}
	return out
}
