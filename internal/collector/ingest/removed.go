package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-egress/signet/receipts"
)

// A sidecar may send records again that were kept for long enough and are removed
// since. What is left of them is their leaf in the log, which tells whether a record
// is the one that was there.

// wasStored tells whether a record with a hash is the one that was removed at its
// place, where nothing is stored. Where the next line follows it, and is compared itself, that line vouches for
// it: a batch costs one look at the log, and not one a record.
func (c *chain) wasStored(ctx context.Context, seq int64, hash string, next []byte) (bool, error) {
	if follower, err := receipts.Decode(next); err == nil { // else compare refuses it
		if place := follower.RecordHead().Chain; place.Seq == seq+1 && place.Seq <= c.known.Head.Seq && place.Prev == hash {
			return true, nil
		}
	}
	return c.server.Logged(ctx, c.who.Tenant, c.who.Chain, seq, hash)
}

// errRemoved says that a chain would go on from where nothing is stored any more.
var errRemoved = errors.New("the records that it goes on from were removed here, since they were kept for long enough: the sidecar has to begin a new journal")

// anew is a verifier that knows no record yet: of the chain from its start, or, where
// its first records were removed, from behind those. It returns the seq of the last
// record that need not be added.
func (c *chain) anew(ctx context.Context, upTo int64) (*receipts.Verifier, int64, error) {
	known, err := c.server.Store.Chain(ctx, c.who.Tenant, c.who.Chain)
	if err != nil || known.Anchor.Seq == 0 {
		return receipts.NewVerifier(c.pinned), 0, err
	}
	if upTo < known.Anchor.Seq {
		return nil, 0, errRemoved
	}
	keys, err := c.introduced(ctx, known.Anchor.Seq)
	if err != nil {
		return nil, 0, err
	}
	v, err := receipts.VerifierAfter(c.pinned, keys, &receipts.Head{
		Chain: receipts.Chain{ID: known.ID, Seq: known.Anchor.Seq}, TS: known.AnchorTS, ReceiptHash: known.Anchor.Hash,
	})
	return v, known.Anchor.Seq, err
}

// introduced are the keys that removed records up to a seq have introduced.
func (c *chain) introduced(ctx context.Context, upTo int64) ([]receipts.ChainKey, error) {
	keys, err := c.server.Store.ChainKeys(ctx, c.who.Tenant, c.who.Chain)
	if err != nil {
		return nil, err
	}
	var introductions []receipts.Record
	for i := range keys {
		if keys[i].IntroducedAt() > upTo {
			break
		}
		r, err := receipts.Decode(keys[i].Introduced)
		if err != nil {
			return nil, fmt.Errorf("the record that introduced key %s: %w", keys[i].KID, err)
		}
		introductions = append(introductions, r)
	}
	return receipts.Introduced(introductions)
}

// contradiction says what a forked record contradicts.
func contradiction(known string) string {
	if known == "" {
		return "the one of that place, which was removed since, or given up for lost before it came"
	}
	return "the stored one (" + known + ")"
}
