package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// Pruning is how records go that were kept for as long as their tenant wants them.
// What removes records or says when they go works as the owner of the tables, who is
// not the user that ingest works as: ErrNotOwner for anybody else.
//
// Records go from the beginning of their chain, and once they are in the log. What
// stays of them: the log's leaves and runs, the roll-ups, the keys that they have
// introduced, the evidence of forks, what was given up, and the chain's row, which
// says where the removed ones end.
type Pruning interface {
	// Retention is a tenant's. ErrNotFound where there is no such tenant.
	Retention(ctx context.Context, tenant string) (Retention, error)
	// SetRetention sets for how many months a tenant's records are kept; 0: for ever.
	// ErrNotFound where there is no such tenant.
	SetRetention(ctx context.Context, tenant string, months int) error
	// OldChains are those of which the oldest stored record was made in a period, by
	// when that was.
	OldChains(ctx context.Context, tenant string, q SinceQuery) ([]Chain, error)
	// Prune removes the oldest records of a chain, in one transaction: the records, what
	// the tenant keeps, the chain's Pruned, and the account of it all. ErrNotFound where
	// the chain is not registered.
	Prune(ctx context.Context, tenant string, p Prune) (Pruned, error)
	// Removals are the account of what was removed of a tenant's, the newest first, 1,000
	// at most.
	Removals(ctx context.Context, tenant string) ([]Removal, error)
	// Reclaim gives back the space of months before a time of which all records are
	// gone, as far as the database has months. It waits for nobody: what is in use is
	// left for the next time.
	Reclaim(ctx context.Context, before time.Time) error
}

// ErrNotOwner says that only the owner of the tables may do this.
var ErrNotOwner = errors.New("only the owner of the tables may remove records, or say when they go")

// Retention is for how long a tenant's records are kept.
type Retention struct {
	Months int       // whole ones beside the current; 0: for ever
	Before time.Time // records that were made and received before it were removed; zero: none were
}

// Lacks tells whether a receipt that is not there may be one of those that were
// removed: its id, a UUIDv7, says when it was made.
func (r *Retention) Lacks(receiptID string) bool {
	id, err := uuid.Parse(receiptID)
	if err != nil || id.Version() != 7 {
		return false
	}
	made := time.Unix(id.Time().UnixTime())
	return made.Before(r.Before)
}

// Cutoff is the time before which records have been kept for months, at a time: the
// beginning of a month, in UTC.
func Cutoff(now time.Time, months int) time.Time {
	now = now.UTC()
	return time.Date(now.Year(), now.Month()-time.Month(months), 1, 0, 0, 0, 0, time.UTC)
}

// Prune says which records of a chain go: those that were both made and received
// before a time, up to the first that was not.
type Prune struct {
	Chain  string
	Before time.Time
	Months int       // the rule that this follows from
	At     time.Time // now
	Limit  int       // of records, 0: 1,000; at most 10,000
	// Rehearse removes nothing, and tells what would go. It goes on after the record
	// with the seq After, where that is behind those that are gone.
	Rehearse bool
	After    int64
}

// Pruned is what Prune has removed.
type Pruned struct {
	Records int64
	Bytes   int64 // of their lines
	Last    int64 // seq of the last one
	More    bool  // it has stopped at its limit
}

// Removal is the account of what was removed of a tenant's records by one rule, at
// one time: however many transactions that took.
type Removal struct {
	Before      time.Time // they were made and received before it
	Months      int       // that the tenant had its records kept for
	Records     int64
	Bytes       int64     // of their lines
	First, Last time.Time // when the oldest and the newest of them were made
	Began       time.Time // when the first of them went
	Ended       time.Time // when the last did
}
