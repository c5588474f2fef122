package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
)

// The verifier of a chain lives as long as its stream. What it knows is stored
// every keepEvery records and when the stream ends; the next stream, here or at
// another replica, goes on from there and verifies again what has come since.
const keepEvery = 20_000

// keepWithin bounds what the end of a stream waits for that: a stream more or less
// is verified again.
const keepWithin = 10 * time.Second

// resume makes a verifier that knows the records up to a seq, where there is none.
func (c *chain) resume(ctx context.Context, upTo int64) error {
	if c.verifier != nil && c.at == upTo {
		return nil
	}
	v, kept, err := c.restore(ctx, upTo)
	if err != nil {
		return err
	}
	err = c.catchUp(ctx, v, kept+1, upTo)
	if kept > 0 && errors.As(err, new(*receipts.VerifyError)) { // it knows records that were given up since
		if v, kept, err = c.anew(ctx, upTo); err == nil {
			err = c.catchUp(ctx, v, kept+1, upTo)
		}
	}
	if err != nil {
		return err
	}
	c.verifier, c.kept, c.at = v, kept, upTo
	return nil
}

// catchUp has a verifier take in the stored records from a seq on.
func (c *chain) catchUp(ctx context.Context, v *receipts.Verifier, next, upTo int64) error {
	for next <= upTo {
		records, err := c.server.Store.Range(ctx, c.who.Tenant, c.who.Chain, next, int(min(upTo-next+1, 1000)))
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return fmt.Errorf("chain %s has no records from seq %d to %d", c.who.Chain, next, upTo)
		}
		for i := range records {
			if next = records[i].Seq + 1; next > upTo+1 {
				break // stored by another replica since
			}
			if err := v.Add(records[i].Line); err != nil {
				return fmt.Errorf("the stored records of chain %s: %w", c.who.Chain, err)
			}
		}
	}
	return nil
}

// restore is the verifier that was kept last, and the seq of the last record that
// it knows. One that cannot be read, or knows too much, or lacks records that were
// removed, is made anew from the stored records.
func (c *chain) restore(ctx context.Context, upTo int64) (*receipts.Verifier, int64, error) {
	seq, state, err := c.server.Store.Verifier(ctx, c.who.Tenant, c.who.Chain)
	if errors.Is(err, store.ErrNotFound) || err == nil && (seq > upTo || seq < c.known.Anchor.Seq) {
		return c.anew(ctx, upTo)
	}
	if err != nil {
		return nil, 0, err
	}
	plain, err := inflate(state)
	if err == nil {
		var v *receipts.Verifier
		if v, err = receipts.ResumeVerifier(c.pinned, plain); err == nil {
			return v, seq, nil
		}
	}
	c.server.Log.WarnContext(ctx, "verifying all that is stored of a chain, since what was kept of its verifier cannot be read",
		"tenant", c.who.Tenant, "chain", c.who.Chain, "error", err)
	return c.anew(ctx, upTo)
}

// keep stores what the verifier knows, if that is news.
func (c *chain) keep(ctx context.Context) {
	if c.verifier == nil || c.at != c.known.Head.Seq || c.kept == c.at {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, keepWithin)
	defer cancel()
	plain, err := c.verifier.State()
	if err == nil {
		err = c.server.Store.SaveVerifier(ctx, c.who.Tenant, c.who.Chain, c.known.Head.Seq, deflate(plain))
	}
	if err != nil {
		c.server.Log.WarnContext(ctx, "what the verifier of a chain knows could not be kept; the next stream verifies more again",
			"tenant", c.who.Tenant, "chain", c.who.Chain, "error", err)
		return
	}
	c.kept = c.known.Head.Seq
}

// verify has the verifier take lines, on all cores, up to the first bad one.
func (c *chain) verify(lines [][]byte) *receipts.VerifyError {
	now := time.Now()
	c.pending = store.Batch{Chain: c.who.Chain, After: c.known.Head, Received: now}
	if c.at < c.known.Head.Seq {
		c.pending.GivenUp = store.Span{Chain: c.who.Chain, First: c.at + 1, Last: c.known.Head.Seq}
	}
	var foreign *receipts.VerifyError
	c.verifier.Observe(func(r receipts.Record) {
		if foreign != nil {
			return
		}
		if err := c.belongs(r); err != nil {
			foreign = &receipts.VerifyError{Seq: r.RecordHead().Chain.Seq, Cause: causeTenant, Err: err}
			return
		}
		line := lines[len(c.pending.Records)]
		c.pending.Records = append(c.pending.Records, store.NewRecord(r, line, now))
		c.pending.Build = buildOf(r, c.pending.Build)
		if e, ok := r.(*receipts.Event); ok && e.Key != nil {
			c.pending.Keys = append(c.pending.Keys, newKey(e))
		}
	})
	pipeline := c.verifier.Pipeline()
	for _, line := range lines {
		if pipeline.Add(line) != nil {
			break // Close has the error too
		}
	}
	var bad *receipts.VerifyError
	if err := pipeline.Close(); foreign == nil && !errors.As(err, &bad) {
		return nil
	}
	c.verifier = nil // its first error is final
	return cmp.Or(foreign, bad)
}

// causeTenant is about a record that is good, and another tenant's.
const causeTenant receipts.Cause = "tenant"

// belongs holds the tenant that a record names against the client certificate's.
func (c *chain) belongs(r receipts.Record) error {
	named := c.who.Tenant
	switch r := r.(type) {
	case *receipts.Genesis:
		named = r.Tenant
	case *receipts.Receipt:
		named = r.Tenant
	}
	if named != c.who.Tenant {
		return fmt.Errorf("a record of tenant %q; the client certificate is for tenant %s", named, c.who.Tenant)
	}
	return nil
}

// buildOf is the build that a record names, else the one before.
func buildOf(r receipts.Record, before string) string {
	switch r := r.(type) {
	case *receipts.Genesis:
		return r.Build
	case *receipts.Event:
		if r.Build != "" {
			return r.Build
		}
	}
	return before
}

// newKey is the key that a verified key change introduces.
func newKey(e *receipts.Event) store.Key {
	pub, _ := receipts.DecodeKey(e.Key.PublicKey)
	return store.Key{KID: e.Key.KID, PublicKey: pub, FromSeq: e.Chain.Seq + 1}
}

// maxState is the largest state of a verifier: 65,536 traces and receipt ids.
const maxState = 64 << 20

func deflate(plain []byte) []byte {
	w, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)) // fails on wrong options only
	defer w.Close()
	return w.EncodeAll(plain, nil)
}

func inflate(state []byte) ([]byte, error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxState))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.DecodeAll(state, nil)
}
