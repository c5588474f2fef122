package receipts

import "fmt"

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

func (e *UnknownMemberError) Error() string { return fmt.Sprintf("unknown member %q", e.Member) }

// CanonicalError says that a line holds a record, but not in its one canonical
// form: white space, order, a name twice or in other case, null for absent, an
// escape or a number written another way.
type CanonicalError struct{ Offset int } // of the first byte that differs

func (e *CanonicalError) Error() string {
	return fmt.Sprintf("not in canonical form (RFC 8785) from byte %d on", e.Offset)
}

// FieldError names a member, dotted from the record down, whose value a record
// cannot have.
type FieldError struct{ Field, Why string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Why }
