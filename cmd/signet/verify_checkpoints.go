package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/bundle"
	"github.com/signet-egress/signet/receipts/checkpoint"
)

// held is what holds a chain from outside of it.
type held struct {
	path    string            // that the chain was read from last
	outside []checkpoint.Note // kept elsewhere
	audit   *checkpoint.Audit // of those and the ones beside the journal; nil for none
	report  checkpoint.Report
	log     *heldLog // nil: not asked for
	missing error    // about the first record that is not in it
	ack     *heldAck // nil: there is none
}

// heldChain is a chain that is read.
type heldChain struct {
	*receipts.Verifier
	id string // that its first record claims
	*held
}

// begin goes on with the records at path, of a journal with something beside it, or
// of none.
func (v *heldChain) begin(ctx context.Context, path string, outside []checkpoint.Note, beside *besideJournal) {
	v.path = path
	var notes []checkpoint.Note
	if beside != nil {
		notes, v.ack = beside.notes, beside.ack
	}
	if v.audit == nil && len(outside)+len(notes) > 0 {
		v.outside, v.audit = outside, checkpoint.NewAudit(slices.Concat(outside, notes))
	}
	if v.audit != nil || v.log != nil || v.ack != nil {
		v.Observe(func(r receipts.Record) { v.see(ctx, r) })
	}
}

// newHeld holds a bundle against the checkpoints within it: what comes after it
// is not cut off.
func newHeld(path string, kept []checkpoint.Note, m *bundle.Manifest) *held {
	h := &held{path: path}
	for _, n := range notesOf(kept, m.Chain) {
		if n.Seq <= m.Last.Seq {
			h.outside = append(h.outside, n)
		}
	}
	if len(h.outside) > 0 {
		h.audit = checkpoint.NewAudit(h.outside)
	}
	return h
}

// see is called with each good record.
func (h *held) see(ctx context.Context, r receipts.Record) {
	head := r.RecordHead()
	h.ack.see(head)
	if h.audit != nil {
		h.audit.Record(head.Chain.Seq, head.ReceiptHash)
	}
	if h.log != nil && h.missing == nil {
		h.missing = h.log.check(ctx, head)
	}
}

// readCheckpoints reads a file of checkpoints of any chains; "" is none.
func (c *verification) readCheckpoints(path string) error {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the checkpoints: %w", err)
	}
	if c.kept, err = checkpoint.ParseList(data); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func notesOf(notes []checkpoint.Note, chain string) (of []checkpoint.Note) {
	for _, n := range notes {
		if n.Chain == chain {
			of = append(of, n)
		}
	}
	return of
}

// holdChains holds everything that was verified, which is good in itself, against
// its checkpoints, its ack and the log. Checkpoints of a chain that was not read are no
// mistake.
func (c *verification) holdChains() error {
	for i := range c.found {
		f := &c.found[i]
		if bad, ok := errors.AsType[*receipts.VerifyError](f.held.missing); ok {
			return badRecord(f.held.path, 0, bad)
		}
		r, err := f.result()
		if err != nil {
			return err
		}
		if bad := f.held.ack.check(&r); bad != nil {
			return badRecord(f.held.path, 0, bad)
		}
		if f.held.audit == nil {
			continue
		}
		keys := f.keys
		if f.chain != nil {
			keys = f.chain.Keys()
		}
		if c.keys != nil {
			keys = append(keys, c.keys.Keys()...)
		}
		if f.held.report, err = f.held.audit.Report(r.ChainID, keys); err != nil {
			return badRecord(f.held.path, 0, checkpoint.VerifyError(err))
		}
	}
	return nil
}

// to is the seq of the newest checkpoint that holds the chain, or 0.
func (h *held) to() int64 { return h.report.Newest.Seq }

// anchored: a checkpoint that was kept out of the sidecar's reach holds the chain, or
// a collector's ack.
func (h *held) anchored() bool { return h.ack.proved() || h.keptOutside() }

func (h *held) keptOutside() bool {
	return slices.ContainsFunc(h.outside, func(n checkpoint.Note) bool { return n.Seq <= h.to() })
}

// anchor says what holds the end of a chain whose newest record is last.
func (f *found) anchor(last int64) string {
	switch a := f.held.ack; {
	case a == nil:
		return f.heldBy(last)
	case !a.proved() || f.held.to() > 0:
		return a.describe() + "; " + f.heldBy(last)
	case last > a.seq:
		return a.describe() + "; records cut off after it would not show"
	default:
		return a.describe()
	}
}

// heldBy says what checkpoints hold.
func (f *found) heldBy(last int64) string {
	h := f.held
	s := fmt.Sprintf("held up to seq %d by checkpoints", h.to())
	if !h.keptOutside() {
		s += " beside the journal only, which whoever cuts it can cut too"
	}
	if !h.anchored() {
		s = "not anchored: " + s
	}
	switch {
	case h.to() == 0 && f.bundle != nil:
		return "the manifest vouches for it, but not that the chain ended there"
	case h.to() == 0:
		return "not anchored, so that records cut off the end would not show"
	case f.bundle != nil:
		return s + "; the manifest vouches for the rest, but not that the chain ended there"
	case last > h.to():
		return s + "; records cut off after it would not show"
	}
	return s
}
