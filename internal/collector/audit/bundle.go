package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/bundle"
)

// page is how many records are read at once.
const page = 500

// writeBundle writes the records of a span as a bundle.
func (e *Export) writeBundle(ctx context.Context, w io.Writer, span store.Span) error {
	x, r := e.exporter, &e.request
	keys, err := x.keys(ctx, e.tenant, span.Chain)
	if err != nil {
		return fmt.Errorf("export chain %s: %w", span.Chain, err)
	}
	proof, err := x.proof(ctx, e.tenant, span)
	if err != nil {
		return fmt.Errorf("export chain %s: %w", span.Chain, err)
	}
	_, err = bundle.Export(w, bundle.Options{
		Tenant: e.tenant, Build: x.Build, Created: x.Now().UTC().Truncate(time.Millisecond), Profile: r.Profile,
		Filter: bundle.Filter{Agent: r.Agent, Trace: r.Trace}, Key: x.Key, Keys: keys, Log: proof,
	}, func(add func(line []byte) error) error { return x.each(ctx, e.tenant, span, add) })
	if err != nil {
		return fmt.Errorf("export chain %s: %w", span.Chain, err)
	}
	return nil
}

// proof shows that the last record is in the log, once it is.
func (x *Exporter) proof(ctx context.Context, tenant string, span store.Span) (*bundle.LogProof, error) {
	if err := x.Sequencer.Await(ctx, tenant, span.Chain, span.Last); err != nil {
		return nil, fmt.Errorf("have the last record in the log: %w", err)
	}
	p, err := x.Prover.Inclusion(ctx, tenant, span.Chain, span.Last)
	if err != nil {
		return nil, fmt.Errorf("prove that the last record is in the log: %w", err)
	}
	return &bundle.LogProof{Checkpoint: p.Checkpoint, Index: p.Index, Proof: p.Hashes}, nil
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
		if introductions[i], err = x.introduction(ctx, tenant, chain, &known[i]); err != nil {
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

// introduction is the record that introduces a key, be it removed since or not.
func (x *Exporter) introduction(ctx context.Context, tenant, chain string, key *store.Key) (receipts.Record, error) {
	line := key.Introduced
	if line == nil {
		row, err := x.Store.Record(ctx, tenant, chain, key.IntroducedAt())
		if err != nil {
			return nil, err
		}
		line = row.Line
	}
	return receipts.Decode(line)
}

// each reads the records of a span. They may be removed while it reads: what is
// missing within, the bundle notices by the links, and at either end each does.
func (x *Exporter) each(ctx context.Context, tenant string, span store.Span, add func(line []byte) error) error {
	for from := span.First; from <= span.Last; {
		records, err := x.Store.Range(ctx, tenant, span.Chain, from, int(min(page, span.Last-from+1)))
		if err != nil {
			return err
		}
		if len(records) == 0 || from == span.First && records[0].Seq != from {
			return fmt.Errorf("record %d is missing", from)
		}
		for i := range records {
			if records[i].Seq > span.Last { // Range has passed over the rest
				return x.givenUp(ctx, tenant, span.Chain, from)
			}
			if err := add(records[i].Line); err != nil {
				return err
			}
		}
		from = records[len(records)-1].Seq + 1
	}
	return nil
}

// givenUp holds records from a seq on, which are not read, to be those of a journal that
// were given up: an error where they were removed.
func (x *Exporter) givenUp(ctx context.Context, tenant, chain string, from int64) error {
	known, err := x.Store.Chain(ctx, tenant, chain)
	if err == nil && known.Pruned >= from {
		err = fmt.Errorf("record %d is missing", from)
	}
	return err
}
