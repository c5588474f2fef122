package ingest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
)

// LineEvery is how many seconds there are between two lines of the log about what is
// refused of a chain for the same reason.
const LineEvery = 3600

// refuse is a refusal of the message at hand. It is counted, and logged once in a
// while, since a sidecar that sends one bad batch sends it again, and comes back
// with it.
func (c *chain) refuse(ctx context.Context, code api.Refusal_Code, seq int64, why error) *api.ShipResponse {
	c.server.Observer.Refused(code.String())
	if c.server.Lines.Take(ctx, c.who.Tenant+"/"+c.who.Chain+" "+code.String(), LineEvery) == 0 {
		c.server.Log.WarnContext(ctx, "refused what a sidecar sent", "tenant", c.who.Tenant, "chain", c.who.Chain,
			"code", code.String(), "seq", seq, "error", why)
	}
	return &api.ShipResponse{Message: &api.ShipResponse_Refusal{Refusal: &api.Refusal{
		Code: code, Message: why.Error(), Seq: seq, NextSeq: c.known.Head.Seq + 1,
	}}}
}

// refuseFor is a refusal of what may be sent again after a while.
func (c *chain) refuseFor(ctx context.Context, wait time.Duration, code api.Refusal_Code, why error) *api.ShipResponse {
	response := c.refuse(ctx, code, 0, why)
	response.GetRefusal().RetryAfterMs = max(wait.Milliseconds(), 1)
	return response
}

// refuseRecord refuses the first bad record of lines, which the verifier found.
func (c *chain) refuseRecord(ctx context.Context, bad *receipts.VerifyError, lines [][]byte) (*api.ShipResponse, error) {
	switch bad.Cause {
	case causeTenant:
		return c.refuse(ctx, api.Refusal_IDENTITY, bad.Seq, bad), nil
	case receipts.CauseLink, receipts.CauseOrder:
		// The sidecar may have written another history: its signature tells.
		if line, r := find(lines, bad.Seq); r != nil {
			return c.contradicted(ctx, r, line, c.known.Head.Hash)
		}
	}
	return c.invalid(ctx, bad.Seq, bad)
}

func find(lines [][]byte, seq int64) ([]byte, receipts.Record) {
	for _, line := range lines {
		if r, err := receipts.Decode(line); err == nil && r.RecordHead().Chain.Seq == seq {
			return line, r
		}
	}
	return nil, nil
}

// invalid refuses a record that cannot be verified.
func (c *chain) invalid(ctx context.Context, seq int64, why error) (*api.ShipResponse, error) {
	if err := c.raise(ctx, store.AlarmInvalid, seq, why.Error()); err != nil {
		return nil, err
	}
	return c.refuse(ctx, api.Refusal_INVALID, seq, why), nil
}

// contradicted refuses a record that is not the stored one, or does not follow
// it. Signed by the chain's key it is a fork, and kept; else it is only wrong.
func (c *chain) contradicted(ctx context.Context, r receipts.Record, line []byte, known string) (*api.ShipResponse, error) {
	h := r.RecordHead()
	wrong, err := c.signedHere(ctx, r)
	if err != nil {
		return nil, err
	}
	if wrong != nil {
		return c.invalid(ctx, h.Chain.Seq, wrong)
	}
	why := fmt.Errorf("a fork: this record of seq %d (%s) contradicts %s", h.Chain.Seq, h.ReceiptHash, contradiction(known))
	err = c.server.Store.AddFork(ctx, c.who.Tenant, store.Fork{
		Chain: c.who.Chain, Seq: h.Chain.Seq, Hash: h.ReceiptHash, Known: known, Line: line, Received: time.Now(),
	})
	if err != nil {
		return nil, err
	}
	if err := c.raise(ctx, store.AlarmFork, h.Chain.Seq, why.Error()); err != nil {
		return nil, err
	}
	return c.refuse(ctx, api.Refusal_FORK, h.Chain.Seq, why), nil
}

// signedHere tells what keeps a record from being signed by a key that is or was the
// chain's, if anything does: one that came in with records that were given up tells of
// a journal that is still written to.
func (c *chain) signedHere(ctx context.Context, r receipts.Record) (wrong, err error) {
	h := r.RecordHead()
	core := receipts.AppendCore(nil, r)
	if hash := receipts.Hash(core); hash != h.ReceiptHash {
		return fmt.Errorf("receipt_hash is %s, but the record hashes to %s", h.ReceiptHash, hash), nil
	}
	key, err := c.server.Store.ChainKey(ctx, c.who.Tenant, c.who.Chain, h.KID)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("signed with key %s, which is none of the chain's", h.KID), nil
	}
	if err != nil {
		return nil, err
	}
	return receipts.VerifySignature(ed25519.PublicKey(key.PublicKey), r.RecordType(), core, h.Signature), nil
}

func (c *chain) raise(ctx context.Context, kind store.AlarmKind, seq int64, message string) error {
	return raise(ctx, c.server.Store, c.server.Log, c.server.Observer, c.who.Tenant, store.Alarm{
		Kind: kind, Chain: c.who.Chain, Seq: seq, Message: message, Raised: time.Now(),
	})
}
