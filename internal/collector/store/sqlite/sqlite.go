// Package sqlite is the collector's store in one file, for one machine.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/signet-egress/signet/internal/collector/store/relation"
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is how many transactions read at a time; WAL lets them go on while one
// writes.
const readers = 4

// database is the file, opened twice: SQLite has one writer, and it waits for its
// turn here rather than at the lock of the file.
type database struct {
	write, read *sql.DB
}

// Open opens the file, or makes it, and brings its tables up to date. One process
// has it at a time; a second one waits for the lock of the file at each write.
func Open(ctx context.Context, path string) (*relation.Store, error) {
	if err := create(path); err != nil {
		return nil, err
	}
	write, err := connect(path, 1, "&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, write); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), write.Close())
	}
	read, err := connect(path, readers, "&_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return &relation.Store{DB: &database{write: write, read: read}}, nil
}

// create makes the file where there is none, so that nobody but its owner reads what
// agents did: SQLite would leave that to the umask. Its log gets the file's mode.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	return f.Close()
}

// connect opens a pool. synchronous(full) syncs the log at each commit: what was
// acknowledged is on disk.
func connect(path string, connections int, more string) (*sql.DB, error) {
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)" + more
	c, err := newConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// Do implements relation.DB. Tenants are kept apart by the statements alone, each
// of which names the tenant.
func (d *database) Do(ctx context.Context, _ string, mode relation.Mode, f func(relation.Tx) error) (err error) {
	db := d.read
	if mode != relation.Read {
		db = d.write
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { // in a panic too
		if rollback := tx.Rollback(); !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
	}()
	if err := f(transaction{tx}); err != nil {
		return err
	}
	return tx.Commit()
}

// Lock implements relation.DB: a writer has the whole file.
func (*database) Lock() string { return "" }

// TryLock implements relation.DB.
func (*database) TryLock() string { return "" }

// Ping implements relation.DB.
func (d *database) Ping(ctx context.Context) error { return d.read.PingContext(ctx) }

// Maintain implements relation.DB: what the planner knows of the tables grows old.
func (d *database) Maintain(ctx context.Context, _ time.Time) error {
	_, err := d.write.ExecContext(ctx, "PRAGMA optimize")
	return err
}

// Reclaim implements relation.DB: what is freed of the file is used again.
func (*database) Reclaim(context.Context, time.Time) error { return nil }

// Close implements relation.DB.
func (d *database) Close() error { return errors.Join(d.read.Close(), d.write.Close()) }

// transaction is a relation.Tx.
type transaction struct{ tx *sql.Tx }

// Exec implements relation.Tx.
func (t transaction) Exec(ctx context.Context, statement string, args ...any) (int64, error) {
	result, err := t.tx.ExecContext(ctx, statement, stored(args)...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// ExecEach implements relation.Tx. There is nobody to wait for.
func (t transaction) ExecEach(ctx context.Context, statement string, each [][]any) error {
	for _, args := range each {
		if _, err := t.Exec(ctx, statement, args...); err != nil {
			return err
		}
	}
	return nil
}

// Query implements relation.Tx.
func (t transaction) Query(ctx context.Context, statement string, args ...any) (relation.Rows, error) {
	found, err := t.tx.QueryContext(ctx, statement, stored(args)...) //nolint:rowserrcheck,sqlclosecheck // the caller has the rows
	if err != nil {
		return nil, err
	}
	return rows{found}, nil
}

// stored makes times what they are in the tables, milliseconds since 1970.
func stored(args []any) []any {
	all := make([]any, len(args))
	for i, arg := range args {
		if t, ok := arg.(time.Time); ok {
			arg = t.UnixMilli()
		}
		all[i] = arg
	}
	return all
}

type rows struct{ *sql.Rows }

// Close implements relation.Rows. What went wrong, Err has told.
func (r rows) Close() { _ = r.Rows.Close() }
