package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/bundle"
)

// refused is the first thing that is not good.
type refused struct {
	path  string
	line  int64 // of a file of records; 0 elsewhere
	seq   int64 // 0 where it is the bundle or its manifest
	cause receipts.Cause
	err   error
	text  string
}

func badRecord(path string, line int64, bad *receipts.VerifyError) *refused {
	return &refused{path: path, line: line, seq: bad.Seq, cause: bad.Cause, err: bad.Err, text: bad.Error()}
}

func (e *refused) Error() string {
	place := e.path
	if e.line > 0 {
		place = fmt.Sprintf("%s:%d", e.path, e.line)
	}
	return fmt.Sprintf("not verified: %s: %s", printable(place), printable(e.text))
}

func (e *refused) Unwrap() error { return e.err }

// found is what was verified: a chain, or a bundle.
type found struct {
	chain  *receipts.Verifier
	bundle *bundle.Result
	keys   []receipts.ChainKey // of the bundle
	held   *held
}

func (f *found) result() (receipts.Result, error) {
	if f.bundle != nil {
		return f.bundle.Result, nil
	}
	return f.chain.Result()
}

// chainAnswer is the answer as JSON.
type chainAnswer struct {
	Verified     bool             `json:"verified"`
	Chain        string           `json:"chain"`
	Receipts     int64            `json:"receipts"`
	Records      int64            `json:"records"`
	First        int64            `json:"first_seq"`
	Last         int64            `json:"last_seq"`
	Head         string           `json:"head"`
	KID          string           `json:"kid"`
	Pinned       bool             `json:"pinned"`
	Anchored     bool             `json:"anchored"` // by a checkpoint that was kept outside, or a collector's ack
	Checkpoints  int              `json:"checkpoints"`
	HeldTo       int64            `json:"held_to_seq,omitempty"`              // by the newest checkpoint
	LogSize      int64            `json:"log_size,omitempty"`                 // of the log that every record is in
	LogExtends   int64            `json:"log_extends,omitempty"`              // size of the remembered log that it extends
	Cosigned     []cosignedAnswer `json:"log_cosigned,omitempty"`             // by witnesses that were asked for
	Unchecked    int              `json:"log_signatures_unchecked,omitempty"` // on the log's checkpoint, beside its own and those
	AckedSeq     int64            `json:"acked_seq,omitempty"`                // by a collector whose key is pinned
	AckedKID     string           `json:"acked_kid,omitempty"`
	CleanStop    bool             `json:"clean_stop"`
	Withheld     int64            `json:"details_withheld"`
	Recoveries   int64            `json:"recoveries"`
	Lost         int64            `json:"records_lost"`
	HopsUnproved int64            `json:"hops_unproved"`
	Manifest     json.RawMessage  `json:"manifest,omitempty"` // as it is stored
}

// refusal is the answer as JSON for what is not good.
type refusal struct {
	Verified bool           `json:"verified"`
	Path     string         `json:"path"`
	Line     int64          `json:"line,omitempty"`
	Seq      int64          `json:"seq"`
	Cause    receipts.Cause `json:"cause"`
	Error    string         `json:"error"`
}

func (c *verification) refuse(err error, asJSON bool) error {
	var bad *refused
	if !errors.As(err, &bad) {
		return exit(exitUnusable, err)
	}
	if !asJSON {
		return err
	}
	return errors.Join(err, json.NewEncoder(c.cmd.OutOrStdout()).Encode(refusal{
		Path: bad.path, Line: bad.line, Seq: bad.seq, Cause: bad.cause, Error: bad.err.Error(),
	}))
}

func (c *verification) report(w io.Writer, jwks string, asJSON bool) error {
	for i := range c.found {
		h := c.found[i].held
		r, err := c.found[i].result()
		if err != nil {
			return err
		}
		if asJSON {
			answer := chainAnswer{
				Verified: true, Chain: r.ChainID, Receipts: r.Receipts, Records: r.Records, First: r.First, Last: r.Last, Head: r.Head,
				KID: r.TrustedKID, Pinned: r.Pinned, Anchored: h.anchored(), Checkpoints: h.report.Held, HeldTo: h.to(), CleanStop: r.CleanStop, Withheld: r.Withheld, Recoveries: r.Recoveries, Lost: r.Lost, HopsUnproved: r.HopsUnproved,
			}
			if h.ack.proved() {
				answer.AckedSeq, answer.AckedKID = h.ack.seq, h.ack.kid
			}
			if c.log != nil {
				answer.LogSize, answer.LogExtends = c.log.tree.N, c.log.old
				answer.Cosigned, answer.Unchecked = cosignedAnswers(c.log.cosigned), c.log.unchecked
			}
			if b := c.found[i].bundle; b != nil {
				if c.log == nil {
					answer.Cosigned, answer.Unchecked = cosignedAnswers(b.Logged.Cosignatures), b.Logged.Unchecked
				}
				answer.Manifest = receipts.EncodeDocument(b.Manifest)
			}
			err = json.NewEncoder(w).Encode(answer)
		} else {
			_, err = io.WriteString(w, c.found[i].describe(&r, jwks, c.policy != nil))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// describe says what was verified, and as plainly what that does not prove.
func (f *found) describe(r *receipts.Result, jwks string, demanded bool) string {
	s := verifiedLine(r) + "\n"
	source := "the genesis"
	if f.bundle != nil {
		m := f.bundle.Manifest
		s += fmt.Sprintf("bundle: tenant %s, %s to %s, profile %s, exported %s\n",
			printable(m.Tenant), stamp(m.Period.From), stamp(m.Period.To), m.Profile, stamp(m.Created))
		source = "the bundle"
	}
	if r.Pinned {
		s += fmt.Sprintf("key: %s, pinned by %s\n", r.TrustedKID, jwks)
	} else {
		s += fmt.Sprintf("key: %s, taken on trust from %s; pin it with --jwks\n", r.TrustedKID, source)
	}
	end := "no clean stop: killed, or still running"
	switch {
	case r.CleanStop:
		end = "clean stop"
	case f.bundle != nil: // a part of a chain
		end = "no clean stop"
	}
	s += fmt.Sprintf("end: %s; %s\n", end, f.anchor(r.Last))
	if f.bundle != nil && f.bundle.Checkpoints.Held > 0 {
		s += fmt.Sprintf("checkpoints: %d in the bundle, the newest of seq %d\n", f.bundle.Checkpoints.Held, f.bundle.Checkpoints.Newest.Seq)
	}
	if f.bundle != nil && f.bundle.Manifest.Log != nil {
		log := strings.SplitN(f.bundle.Manifest.Log.Checkpoint, "\n", 3) // it was verified
		s += fmt.Sprintf("logged: the last record is in the log %s of %s records, by the word of the key that signs the manifest\n", printable(log[0]), log[1])
	}
	switch {
	case f.held.log != nil:
		s += f.held.log.describe()
	case f.bundle != nil && f.bundle.Manifest.Log != nil:
		s += describeWitnesses(demanded, f.bundle.Logged.Cosignatures, f.bundle.Logged.Unchecked)
	}
	if r.Recoveries > 0 {
		s += fmt.Sprintf("loss: an operator had the chain go on %d times after a loss; %d records are missing there\n", r.Recoveries, r.Lost)
	}
	if r.Withheld > 0 {
		s += fmt.Sprintf("details: %d withheld\n", r.Withheld)
	}
	if r.HopsUnproved > 0 {
		s += fmt.Sprintf("hops: not proved for the first hop of %d traces, since the records start at seq %d\n", r.HopsUnproved, r.First)
	}
	return s
}
