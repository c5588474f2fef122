package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

// heldAck is what a collector has acknowledged of a journal, its countersignature of
// the chain's head at that time.
type heldAck struct {
	chain, hash string
	seq         int64
	kid         string
	at          time.Time // zero: the signature was not checked, for want of the key
	standing    string    // receipt_hash of the chain's record at seq; "": there is none
}

// readAck reads what stands beside a journal; nil for nothing. It is checked where
// the collector's key is pinned.
func (c *verification) readAck(dir string) (*heldAck, error) {
	kept, err := journal.ReadAck(dir)
	if kept == nil || err != nil {
		return nil, err
	}
	a := &heldAck{chain: kept.Chain, hash: kept.Hash, seq: kept.Seq}
	var by struct {
		KID string `json:"kid"`
	}
	_ = json.Unmarshal(kept.Document, &by) // "" then, which no key has
	a.kid = by.KID
	if c.keys == nil || c.keys.Key(a.kid) == nil {
		return a, nil
	}
	signed, err := receipts.ParseAck(kept.Document, c.keys)
	if err != nil {
		return nil, badRecord(filepath.Join(dir, "ack.json"), 0, &receipts.VerifyError{Seq: a.seq, Cause: receipts.CauseCheckpoint, Err: err})
	}
	a.at = signed.TS
	return a, nil
}

// see notes the record that stands where it points.
func (a *heldAck) see(h *receipts.Head) {
	if a != nil && h.Chain.Seq == a.seq {
		a.standing = h.ReceiptHash
	}
}

// check holds a chain that is good against it. A record that was pruned, or given up
// for lost, is taken as it says.
func (a *heldAck) check(r *receipts.Result) *receipts.VerifyError {
	switch {
	case a == nil:
	case a.chain != r.ChainID:
		return &receipts.VerifyError{Seq: a.seq, Cause: receipts.CauseCheckpoint, Err: fmt.Errorf("the collector has acknowledged a record of chain %s, not of %s", a.chain, r.ChainID)}
	case a.seq > r.Last:
		return &receipts.VerifyError{Seq: r.Last + 1, Cause: receipts.CauseTruncation, Err: fmt.Errorf("the records end at seq %d, and the collector has acknowledged seq %d: what is between is missing", r.Last, a.seq)}
	case a.standing != "" && a.standing != a.hash:
		return &receipts.VerifyError{Seq: a.seq, Cause: receipts.CauseRewrite, Err: fmt.Errorf("it has the hash %s, and the collector has acknowledged %s there", a.standing, a.hash)}
	}
	return nil
}

// proved: somebody else than the sidecar has signed that the chain was there.
func (a *heldAck) proved() bool { return a != nil && !a.at.IsZero() }

// describe says what the collector vouches for.
func (a *heldAck) describe() string {
	if !a.proved() {
		return fmt.Sprintf("ack.json says that a collector has it up to seq %d, signed with the key %s, which no --jwks holds", a.seq, printable(a.kid))
	}
	return fmt.Sprintf("complete up to seq %d, which the collector has acknowledged at %s with the key %s", a.seq, stamp(a.at), a.kid)
}
