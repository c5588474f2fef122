package store

import (
	"context"
	"time"
)

// Alarms is what an operator must look at.
type Alarms interface {
	// Raise opens an alarm, or takes At, Seq and Message into the one of its kind
	// that is open for the chain, or for the log. It tells whether it is new.
	Raise(ctx context.Context, tenant string, a Alarm) (bool, error)
	// Clear ends the alarm of a kind for a chain, or for the log (""), if one is open.
	Clear(ctx context.Context, tenant, chain string, kind AlarmKind, at time.Time) error
	// ListAlarms lists alarms, the newest first.
	ListAlarms(ctx context.Context, tenant string, q AlarmQuery) ([]Alarm, error)
	// OpenAlarms are those of some chains, at most one of each kind a chain, the
	// newest first.
	OpenAlarms(ctx context.Context, tenant string, chains []string) ([]Alarm, error)
	// AddFork keeps the evidence of a fork, once for each record, 100 records a
	// chain at most.
	AddFork(ctx context.Context, tenant string, f Fork) error
	// Forks are a tenant's, the newest first, of one chain or of all (""), 100 at most.
	Forks(ctx context.Context, tenant, chain string) ([]Fork, error)
}

// AlarmKind is what an alarm is about.
type AlarmKind string

// The closed set of alarms.
const (
	AlarmFork     AlarmKind = "fork"     // two records at one place of a chain
	AlarmRollback AlarmKind = "rollback" // a sidecar's journal is behind what it has shipped
	AlarmGap      AlarmKind = "gap"      // records are missing, and were asked for in vain
	AlarmSilent   AlarmKind = "silent"   // not heard of, though it did not stop
	AlarmClock    AlarmKind = "clock"    // the sidecar's clock is more than 5 minutes off
	AlarmInvalid  AlarmKind = "invalid"  // records came that cannot be verified
	AlarmQuota    AlarmKind = "quota"    // records wait at the sidecar, since the tenant may keep no more
	AlarmWitness  AlarmKind = "witness"  // a witness knows another history of the log than there is
)

// Alarm is one thing to look at.
type Alarm struct {
	ID      string // UUIDv7
	Kind    AlarmKind
	Chain   string // "": it is about the log
	Seq     int64  // 0 where it is about none
	Message string
	Raised  time.Time
	Last    time.Time // when it was raised again
	Cleared time.Time // zero: open
}

// AlarmQuery selects alarms.
type AlarmQuery struct {
	Open  bool   // only those that are
	Chain string // "": all
	After string // alarm id to go on after; "": from the newest on
	Limit int    // 0: 100; at most 1,000
}

// Fork is a record that contradicts a stored one: both are signed by the chain's
// key, which proves that the sidecar has written two histories.
type Fork struct {
	Chain    string
	Seq      int64
	Hash     string // of the refused record
	Known    string // receipt_hash that is stored at the place that Line contradicts; "": none is
	Line     []byte // the refused record
	Received time.Time
}
