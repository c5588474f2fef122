// Package audit writes signed bundles of what the collector keeps.
package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/signet-egress/signet/internal/collector/httpapi"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/bundle"
)

// Reader is what an Exporter reads.
type Reader interface {
	ChainKeys(ctx context.Context, tenant, id string) ([]store.Key, error)
	Record(ctx context.Context, tenant, chain string, seq int64) (store.Record, error)
	Range(ctx context.Context, tenant, chain string, from int64, limit int) ([]store.Record, error)
	httpapi.ProofReader
}

// Exporter implements httpapi.Exporter.
type Exporter struct {
	Store Reader
	Log   httpapi.Prover     // of the tenants' logs, whose checkpoints Key signs
	Key   ed25519.PrivateKey // signs the manifests
	Build string             // version of the program
	Now   func() time.Time
}

// page is how many records are read at once.
const page = 500

// Export implements httpapi.Exporter.
func (x *Exporter) Export(ctx context.Context, w io.Writer, tenant string, span store.Span, e httpapi.Export) error {
	keys, err := x.keys(ctx, tenant, span.Chain)
	if err != nil {
		return err
	}
	proof, err := x.proof(ctx, tenant, span)
	if err != nil {
		return err
	}
	_, err = bundle.Export(w, bundle.Options{
		Tenant: tenant, Build: x.Build, Created: x.Now().UTC().Truncate(time.Millisecond), Profile: bundle.Profile(e.Profile),
		Filter: bundle.Filter{Agent: e.Agent, Trace: e.Trace}, Key: x.Key, Keys: keys, Log: proof,
	}, func(add func(line []byte) error) error { return x.each(ctx, tenant, span, add) })
	if err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	return nil
}

// proof shows that the last record is in the log; nil while it waits for that.
func (x *Exporter) proof(ctx context.Context, tenant string, span store.Span) (*bundle.LogProof, error) {
	last, err := x.Store.Record(ctx, tenant, span.Chain, span.Last)
	if err != nil {
		return nil, fmt.Errorf("the last record: %w", err)
	}
	p, err := httpapi.Inclusion(ctx, x.Store, x.Log, tenant, &last)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("prove that the last record is in the log: %w", err)
	}
	return &bundle.LogProof{Checkpoint: p.Checkpoint, Index: *p.Index, Proof: p.Proof}, nil
}

// keys are those that sign in the bundle: the chain's, read from the records that
// introduce them, and the collector's.
func (x *Exporter) keys(ctx context.Context, tenant, chain string) ([]receipts.ChainKey, error) {
	known, err := x.Store.ChainKeys(ctx, tenant, chain)
	if err != nil {
		return nil, err
	}
	introductions := make([]receipts.Record, len(known))
	for i := range known {
		row, err := x.Store.Record(ctx, tenant, chain, max(known[i].FromSeq-1, 1))
		if err != nil {
			return nil, fmt.Errorf("the record that introduces key %s: %w", known[i].KID, err)
		}
		if introductions[i], err = receipts.Decode(row.Line); err != nil {
			return nil, fmt.Errorf("the record that introduces key %s: %w", known[i].KID, err)
		}
	}
	keys, err := receipts.Introduced(introductions)
	if err != nil {
		return nil, fmt.Errorf("the keys of chain %s: %w", chain, err)
	}
	pub, ok := x.Key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("the signing key is not an Ed25519 key")
	}
	// The collector's own key is no chain's: it signs the manifest.
	return append(keys, receipts.ChainKey{KID: receipts.KeyID(pub), PublicKey: pub}), nil
}

func (x *Exporter) each(ctx context.Context, tenant string, span store.Span, add func(line []byte) error) error {
	for from := span.First; from <= span.Last; {
		records, err := x.Store.Range(ctx, tenant, span.Chain, from, int(min(page, span.Last-from+1)))
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return fmt.Errorf("record %d is missing", from)
		}
		for i := range records {
			if err := add(records[i].Line); err != nil {
				return err
			}
		}
		from = records[len(records)-1].Seq + 1
	}
	return nil
}
