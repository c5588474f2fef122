// Package relation is the store over a relational database: the statements that
// PostgreSQL and SQLite take alike. What differs between them is behind DB.
//
// They are not generated (sqlc): that makes a package for each database from
// statements that are whole, where these are written once and the pages' are put
// together from what is asked for. That each is right, and reads what it should,
// store/storetest holds them to on both databases.
package relation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// DB is a database that has the tables of the migrations.
type DB interface {
	// Do runs f in one transaction, which is committed when f returns nil. It sees
	// the rows of the tenant, and with tenant "" those of the directory alone.
	Do(ctx context.Context, tenant string, mode Mode, f func(Tx) error) error
	// Insert adds records of a tenant, and returns how many were not there before.
	Insert(ctx context.Context, tx Tx, tenant string, records []store.Record) (int64, error)
	// Lock ends a SELECT whose row stays locked to the end of the transaction;
	// TryLock likewise, but passes a row that another has locked.
	Lock() string
	TryLock() string

	Ping(ctx context.Context) error
	Maintain(ctx context.Context, now time.Time) error
	Reclaim(ctx context.Context, before time.Time) error
	Close() error
}

// Mode is what a transaction does.
type Mode int

// The modes.
const (
	Read Mode = iota
	Write
	Own // writes, as the owner of the tables: store.ErrNotOwner where the user is another
)

// Tx is a transaction. Parameters are $1, $2, and so on. A time.Time is in UTC
// and whole milliseconds; times are scanned through timeOf. A UUID is selected as
// text, under another name than its column's: ORDER BY means what is selected
// where both have one name, and the text has no index.
type Tx interface {
	Exec(ctx context.Context, sql string, args ...any) (rows int64, err error)
	// ExecEach runs a statement once for each list of parameters, in their order. It
	// waits for the database once, where Exec would each time.
	ExecEach(ctx context.Context, sql string, each [][]any) error
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
}

// Rows is what a query found.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close()
}

// Store is a store over a database.
type Store struct {
	DB
	// Window is how many receipts of an index are looked at for one page, where the
	// index alone does not answer the query. 0: 5,000, some milliseconds.
	Window int

	appends appends
}

var _ store.Store = (*Store)(nil)

// scan reads one row.
type scan func(dest ...any) error

// list runs a query and reads each of its rows.
func list[T any](ctx context.Context, tx Tx, read func(scan) (T, error), sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		row, err := read(rows.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// one is list for a query that finds at most one row: ErrNotFound where none.
func one[T any](ctx context.Context, tx Tx, read func(scan) (T, error), sql string, args ...any) (T, error) {
	rows, err := list(ctx, tx, read, sql, args...)
	if err != nil || len(rows) == 0 {
		var none T
		if err == nil {
			err = store.ErrNotFound
		}
		return none, err
	}
	return rows[0], nil
}

// reading runs f in a transaction that only reads, and says in an error what was
// being read.
func reading[T any](ctx context.Context, db DB, tenant, what string, f func(Tx) (T, error)) (T, error) {
	var found T
	err := db.Do(ctx, tenant, Read, func(tx Tx) (err error) {
		found, err = f(tx)
		return err
	})
	if err != nil {
		var none T
		return none, wrapped("read", what, err)
	}
	return found, nil
}

func (s *Store) writing(ctx context.Context, tenant, what string, f func(Tx) error) error {
	return wrapped("write", what, s.Do(ctx, tenant, Write, f))
}

// wrapped leaves the errors that callers decide by as they are to errors.Is.
func wrapped(verb, what string, err error) error {
	if err == nil {
		return nil
	}
	if moved := new(store.HeadMovedError); errors.As(err, &moved) {
		return err
	}
	return fmt.Errorf("%s %s: %w", verb, what, err)
}

// inserted makes ErrExists of an INSERT … ON CONFLICT DO NOTHING that did nothing.
func inserted(n int64, err error) error {
	if err == nil && n == 0 {
		return store.ErrExists
	}
	return err
}

// updated makes ErrNotFound of an UPDATE that found no row.
func updated(n int64, err error) error {
	if err == nil && n == 0 {
		return store.ErrNotFound
	}
	return err
}

// page is a limit between 1 and most, usual where none is given.
func page(limit, usual, most int) int {
	if limit <= 0 {
		return usual
	}
	return min(limit, most)
}
