package ingest

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
)

// maxSkew is how far a sidecar's clock may be off before that is an alarm. Five
// seconds are flagged wherever the skew is shown.
const maxSkew = 5 * time.Minute

// heartbeat takes the sidecar's word for where its chain ends.
func (c *chain) heartbeat(ctx context.Context, document []byte) (*api.ShipResponse, error) {
	response, err := c.beat(ctx, document)
	if err != nil {
		return nil, c.server.unavailable(ctx, err)
	}
	return response, nil
}

func (c *chain) beat(ctx context.Context, document []byte) (*api.ShipResponse, error) {
	known, err := c.server.Store.Chain(ctx, c.who.Tenant, c.who.Chain)
	if err != nil {
		return nil, err
	}
	h, err := receipts.ParseHeartbeat(document, ed25519.PublicKey(known.PublicKey))
	if err != nil {
		// The key may have changed in records that are still under way.
		return c.refuse(ctx, api.Refusal_INVALID, 0, err), nil
	}
	if h.Chain != c.who.Chain {
		return c.refuse(ctx, api.Refusal_IDENTITY, h.Seq, fmt.Errorf("a heartbeat of chain %s; the client certificate is for chain %s", h.Chain, c.who.Chain)), nil
	}
	if response, err := c.behind(ctx, h, known.Head); response != nil || err != nil {
		return response, err
	}
	now := time.Now()
	beat := store.Beat{At: now, Seq: h.Seq, Skew: h.TS.Sub(now)}
	if err := c.server.Store.Beat(ctx, c.who.Tenant, c.who.Chain, beat); err != nil {
		return nil, err
	}
	return nil, c.watchClock(ctx, beat)
}

// behind refuses a heartbeat that the stored records contradict: the journal was
// put back to an older state, or another one was written from there.
func (c *chain) behind(ctx context.Context, h *receipts.Heartbeat, head store.Head) (*api.ShipResponse, error) {
	if h.Seq > head.Seq {
		return nil, nil // what is between is under way
	}
	hashes, err := c.server.Store.Hashes(ctx, c.who.Tenant, c.who.Chain, h.Seq, h.Seq)
	if err != nil {
		return nil, err
	}
	stored, there := hashes[h.Seq]
	same := stored == h.ReceiptHash
	if !there {
		if same, err = c.wasStored(ctx, h.Seq, h.ReceiptHash, nil); err != nil {
			return nil, err
		}
	}
	if h.Seq >= c.opened && same {
		return nil, nil // written before what was stored since
	}
	code, kind := api.Refusal_ROLLBACK, store.AlarmRollback
	why := fmt.Errorf("the sidecar's chain ends at seq %d, but seq %d is stored: its journal was rolled back", h.Seq, head.Seq)
	if !same {
		code, kind = api.Refusal_FORK, store.AlarmFork
		why = fmt.Errorf("a fork: the sidecar's chain ends at seq %d with %s, which contradicts %s", h.Seq, h.ReceiptHash, contradiction(stored))
	}
	if err := c.raise(ctx, kind, h.Seq, why.Error()); err != nil {
		return nil, err
	}
	return c.refuse(ctx, code, h.Seq, why), nil
}

// watchClock raises or clears what a heartbeat tells of the sidecar's clock.
func (c *chain) watchClock(ctx context.Context, b store.Beat) error {
	if b.Skew.Abs() <= maxSkew {
		return c.server.Store.Clear(ctx, c.who.Tenant, c.who.Chain, store.AlarmClock, b.At)
	}
	return c.raise(ctx, store.AlarmClock, b.Seq, fmt.Sprintf("the sidecar's clock is %s off", b.Skew.Round(time.Second)))
}
