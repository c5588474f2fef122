package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/signet-egress/signet/receipts"
)

// Audit holds a chain, as it is read, against its checkpoints.
type Audit struct {
	notes []Note // ascending
	met   []met  // for each note
	next  int    // the first note that no record has reached
	last  int64  // newest record
}

// met is what stands in the chain where a note points.
type met struct {
	hash  string
	there bool // false: the chain was read from a later record on, or owns up to its loss
}

// NewAudit takes the notes of one chain, in any order.
func NewAudit(notes []Note) *Audit {
	notes = slices.Clone(notes)
	slices.SortStableFunc(notes, func(a, b Note) int { return cmp.Compare(a.Seq, b.Seq) })
	return &Audit{notes: notes, met: make([]met, len(notes))}
}

// Record notes a good record; records come in order.
func (a *Audit) Record(seq int64, hash string) {
	a.last = seq
	for a.next < len(a.notes) && a.notes[a.next].Seq <= seq {
		a.met[a.next] = met{hash, a.notes[a.next].Seq == seq}
		a.next++
	}
}

// Report is what checkpoints prove of a chain that is good.
type Report struct {
	Held   int        // checkpoints that the chain agrees with
	Newest Checkpoint // of those; nothing up to it was cut off or rewritten
}

// Report holds the chain that was read, whose keys are given, against the notes.
// Errors are *TruncatedError, *RewrittenError and *NoteError, for the first note that
// the chain does not agree with.
func (a *Audit) Report(chain string, keys []receipts.ChainKey) (Report, error) {
	var r Report
	for i := range a.notes {
		n := &a.notes[i]
		if n.Chain != chain {
			return r, &NoteError{n.Checkpoint, fmt.Errorf("it is of chain %s, not of %s", n.Chain, chain)}
		}
		if err := n.Verify(keys); err != nil {
			return r, &NoteError{n.Checkpoint, a.perhapsCut(n, err)}
		}
		switch m := a.met[i]; {
		case i >= a.next:
			return r, &TruncatedError{Last: a.last, Newest: a.newest(keys)}
		case m.there && m.hash != n.Hash:
			return r, &RewrittenError{n.Checkpoint, m.hash}
		case m.there:
			r.Held++
			r.Newest = n.Checkpoint
		}
	}
	return r, nil
}

// newest is the last checkpoint that can be believed, of which there is one.
func (a *Audit) newest(keys []receipts.ChainKey) Checkpoint {
	last := len(a.notes) - 1
	for last > a.next && a.notes[last].Verify(keys) != nil {
		last--
	}
	return a.notes[last].Checkpoint
}

// perhapsCut says what a key that is not known beyond the end means.
func (a *Audit) perhapsCut(n *Note, err error) error {
	if n.Seq <= a.last {
		return err
	}
	return fmt.Errorf("%w; the records end at seq %d: either they are cut off, with the change to its key, or it is not the chain's", err, a.last)
}

// TruncatedError says that a chain is shorter than it was.
type TruncatedError struct {
	Last   int64      // seq of its newest record
	Newest Checkpoint // newest checkpoint
}

func (e *TruncatedError) Error() string {
	missing := fmt.Sprintf("seq %d to %d are missing", e.Last+1, e.Newest.Seq)
	if e.Last+1 == e.Newest.Seq {
		missing = fmt.Sprintf("seq %d is missing", e.Newest.Seq)
	}
	return fmt.Sprintf("the records end at seq %d, and a checkpoint shows that the chain had seq %d, of %s: %s",
		e.Last, e.Newest.Seq, e.Newest.TS.UTC().Format(timeLayout), missing)
}

// RewrittenError says that a chain has another record than it had.
type RewrittenError struct {
	Checkpoint Checkpoint
	Hash       string // of the record that stands there now
}

func (e *RewrittenError) Error() string {
	return fmt.Sprintf("seq %d has the hash %s, and a checkpoint shows that the chain had %s there: "+
		"somebody with the key has written it, or all after it, anew", e.Checkpoint.Seq, e.Hash, e.Checkpoint.Hash)
}

// NoteError says that a checkpoint cannot be believed.
type NoteError struct {
	Checkpoint Checkpoint
	Err        error
}

func (e *NoteError) Error() string {
	return fmt.Sprintf("a checkpoint of seq %d cannot be believed: %v", e.Checkpoint.Seq, e.Err)
}

func (e *NoteError) Unwrap() error { return e.Err }

// VerifyError is an error of Report as verifiers tell it.
func VerifyError(err error) *receipts.VerifyError {
	bad := &receipts.VerifyError{Cause: receipts.CauseCheckpoint, Err: err}
	if truncated, ok := errors.AsType[*TruncatedError](err); ok {
		bad.Seq, bad.Cause = truncated.Last+1, receipts.CauseTruncation
	} else if rewritten, ok := errors.AsType[*RewrittenError](err); ok {
		bad.Seq, bad.Cause = rewritten.Checkpoint.Seq, receipts.CauseRewrite
	} else if note, ok := errors.AsType[*NoteError](err); ok {
		bad.Seq = note.Checkpoint.Seq
	}
	return bad
}
