// Package store says what the collector keeps and how it is asked for. Its two
// implementations, store/postgres and store/sqlite, pass one suite,
// store/storetest.
//
// Everything but the directory belongs to a tenant, which every method takes
// beside its context. A store answers for that tenant alone, whatever the other
// arguments say.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Store is everything that the collector keeps. What a method has written is
// durable, and visible to every replica, when it returns nil. Methods are safe
// for concurrent use. A reader asks for what it needs by one of the parts.
type Store interface {
	Directory
	Sessions
	Chains
	Records
	Usage
	Storage
	Pruning
	Log
	Alarms

	// Ping tells whether the store answers.
	Ping(ctx context.Context) error
	// Maintain does what must be done now and then, such as making the partitions
	// of the months to come. It may be called by several replicas at once.
	Maintain(ctx context.Context, now time.Time) error
	// Close lets go of all connections.
	Close() error
}

// Errors that callers decide by. A method says which of them it returns.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already, and is different")
)

// HeadMovedError says that a chain does not end where a batch goes on from: the
// records that it holds are, in part, stored already, or some before it are
// missing.
type HeadMovedError struct {
	Chain Chain // as it is stored
}

func (e *HeadMovedError) Error() string {
	return fmt.Sprintf("chain %s ends at seq %d (%s)", e.Chain.ID, e.Chain.Head.Seq, e.Chain.Head.Hash)
}
