// Package bundle is the signed export of a part of a chain: one zip file with
// the records as canonical JSON lines and a signed manifest. docs/bundle.md
// describes the format.
//
// A bundle is written in one pass and verified in one, both in memory that does
// not grow with it. The manifest comes last, since only then its counts are
// known; a reader finds it from the end of the file.
package bundle

import "github.com/signet-egress/signet/receipts"

// Type is the manifest's type, and what its signature is prefixed with.
const Type receipts.Type = "signet.bundle/1"

// Profile says how much of each receipt a bundle holds.
type Profile string

// The closed set of profiles.
const (
	Full Profile = "full" // with details, but for receipts that a filter excludes
	Core Profile = "core" // cores only: every detail is withheld
)

// What can be wrong with a bundle beyond its records.
const (
	CauseLayout    receipts.Cause = "layout"         // not the zip file that Writer makes
	CauseIntegrity receipts.Cause = "integrity hash" // not the hash of the records' bytes
	CauseFirst     receipts.Cause = "first record"   // not the one that the manifest names
	CauseLast      receipts.Cause = "last record"    // likewise: records were cut off, or added
	CauseCount     receipts.Cause = "count"          // another number of records than the manifest says
	CausePeriod    receipts.Cause = "period"         // not from the first record's ts to the last's
	CauseTenant    receipts.Cause = "tenant"         // a record of another tenant
	CauseProfile   receipts.Cause = "profile"        // a detail that should be withheld, or should not
)

// Error is what is wrong with a bundle, apart from its records, of which
// *receipts.VerifyError tells.
type Error struct {
	Part  string // layout | manifest
	Cause receipts.Cause
	Err   error
}

func (e *Error) Error() string {
	if e.Cause == CauseLayout {
		return "layout: " + e.Err.Error()
	}
	return e.Part + ": " + string(e.Cause) + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }
