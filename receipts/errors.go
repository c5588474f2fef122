package receipts

import (
	"errors"
	"fmt"
)

// SyntaxError says that a line is no JSON object at all.
type SyntaxError struct{ Err error }

func (e *SyntaxError) Error() string { return "not a record: " + e.Err.Error() }

func (e *SyntaxError) Unwrap() error { return e.Err }

// TypeError names a record type that this version does not know.
type TypeError struct{ Type string }

func (e *TypeError) Error() string {
	if e.Type == "" {
		return "the record names no type"
	}
	return fmt.Sprintf("the record type %q is not known to this version", e.Type)
}

// UnknownMemberError names a member that the closed schema does not have.
type UnknownMemberError struct{ Member string }

func (e *UnknownMemberError) Error() string { return fmt.Sprintf("%q is no member of it", e.Member) }

// CanonicalError says that a line holds an object, but not in its one canonical
// form: white space, order, an escape or a number written another way.
type CanonicalError struct{ Offset int } // of the first byte that differs

func (e *CanonicalError) Error() string {
	return fmt.Sprintf("not in canonical form (RFC 8785) from byte %d on", e.Offset)
}

// FieldError names a member, dotted from the record down, whose value a record
// cannot have.
type FieldError struct{ Field, Why string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Why }

// Cause is what is wrong with the first bad record of a chain.
type Cause string

// The closed set of causes.
const (
	CauseForm      Cause = "canonical form" // not a record in canonical form
	CauseType      Cause = "record type"    // a type or version that is not known
	CauseMember    Cause = "unknown member" // the schema is closed
	CauseField     Cause = "field"          // a value that the member cannot have
	CauseHash      Cause = "hash"           // receipt_hash is not the core's
	CauseDetail    Cause = "detail digest"  // detail_digest is not the detail's
	CauseChain     Cause = "chain id"       // a record of another chain
	CauseGap       Cause = "gap"            // records before it are missing
	CauseOrder     Cause = "order"          // its seq was there already
	CauseLink      Cause = "chain link"     // chain.prev is not the hash of the record before
	CauseKey       Cause = "key"            // not the key that signs here, or not one to trust
	CauseSignature Cause = "signature"      // not the key's signature
	CauseTime      Cause = "time"           // ts runs backwards
	CauseReceiptID Cause = "receipt id"     // receipt_id was there already
	CauseHop       Cause = "hop link"       // hop or prev_receipt_hash does not follow the trace

	// What only a checkpoint from outside of the chain shows.
	CauseTruncation Cause = "truncation" // records were there after the last one
	CauseRewrite    Cause = "rewrite"    // another record was there
	CauseCheckpoint Cause = "checkpoint" // one that cannot be believed
)

// CauseOf is the cause that an error of Decode or DecodeDocument stands for.
func CauseOf(err error) Cause {
	var (
		badType *TypeError
		member  *UnknownMemberError
		field   *FieldError
	)
	switch {
	case errors.As(err, &badType):
		return CauseType
	case errors.As(err, &member):
		return CauseMember
	case errors.As(err, &field):
		return CauseField
	}
	return CauseForm
}

// VerifyError is the first bad record of a chain and what is wrong with it.
type VerifyError struct {
	Seq    int64 // what the record says, or what its place asks for where it is damaged
	Record int64 // its place in what was read, from 1
	Cause  Cause
	Err    error
}

func (e *VerifyError) Error() string {
	return fmt.Sprintf("seq %d: %s: %v", e.Seq, e.Cause, e.Err)
}

func (e *VerifyError) Unwrap() error { return e.Err }

// ErrNoRecords says that there was nothing to verify, which proves nothing.
var ErrNoRecords = errors.New("no records: nothing was verified")
