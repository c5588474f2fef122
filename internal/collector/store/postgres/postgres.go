// Package postgres is the collector's store in PostgreSQL, for any number of
// replicas.
//
// The statements are pgx's own, by hand: those that both databases take are in
// store/relation, most pages are put together from what a query asks for, and
// the insertion of records is the one statement left, for which a generator would
// cost more than it writes.
package postgres

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/relation"
)

//go:embed migrations/*.sql
var migrations embed.FS

// How the pool behaves where the URL does not say otherwise (pool_max_conns and
// so on). Ingest is bound by two cores or so of the database for each collector;
// more connections only make it switch.
const (
	maxConnections = 16
	connectTimeout = 5 * time.Second
	lifetime       = 30 * time.Minute // so that connections spread over new servers
	idleTime       = 5 * time.Minute
	healthCheck    = 30 * time.Second
)

// statementTimeout ends a statement that would hold locks and memory for longer
// than anybody waits. A page and a batch take milliseconds.
const statementTimeout = "30s"

type database struct {
	pool  *pgxpool.Pool
	clock func() time.Time
}

// Open connects to the database of a URL, whose tables must be up to date.
func Open(ctx context.Context, url string) (*relation.Store, error) {
	pool, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	d := &database{pool: pool, clock: time.Now}
	if err := d.check(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return &relation.Store{DB: d}, nil
}

func connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err) // pgx leaves the password out
	}
	if usual, err := pgxpool.ParseConfig(""); err == nil && config.MaxConns == usual.MaxConns {
		config.MaxConns = maxConnections
	}
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = lifetime, lifetime/10
	config.MaxConnIdleTime, config.HealthCheckPeriod = idleTime, healthCheck
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return pool, nil
}

// Migrate brings the tables up to date, as their owner. Replicas may do so at the
// same time.
func Migrate(ctx context.Context, url string, now time.Time) error {
	pool, err := connect(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	d := &database{pool: pool, clock: time.Now}
	if err := d.checkEncoding(ctx); err != nil {
		return err
	}
	err = d.withMigrations(func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	}, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return d.Maintain(ctx, now)
}

func (d *database) withMigrations(f func(*goose.Provider) error, options ...goose.ProviderOption) (err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(d.pool)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, options...)
	if err != nil {
		return err
	}
	return f(provider)
}

// checkEncoding tells whether the database can hold records, which are UTF-8, byte for
// byte.
func (d *database) checkEncoding(ctx context.Context) error {
	var encoding string
	if err := d.pool.QueryRow(ctx, `SELECT current_setting('server_encoding')`).Scan(&encoding); err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	if encoding != "UTF8" && encoding != "SQL_ASCII" {
		return fmt.Errorf("the database has the encoding %s, and records are UTF-8: make another one (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)", encoding)
	}
	return nil
}

// check tells whether the tables are those of this program.
func (d *database) check(ctx context.Context) error {
	if err := d.pool.Ping(ctx); err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return d.withMigrations(func(p *goose.Provider) error {
		var newest, version int64
		for _, source := range p.ListSources() {
			newest = max(newest, source.Version)
		}
		err := d.pool.QueryRow(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
		if version != newest {
			return fmt.Errorf("the tables have version %d, and this program needs %d: run signet-collector migrate as their owner (%w)",
				version, newest, cmp.Or(err, errVersion))
		}
		return nil
	})
}

var errVersion = errors.New("another version of the program has made them")

// Do implements relation.DB. One statement makes the transaction that of a tenant
// and of the application's role; all of it ends with the transaction, so that a
// connection can be shared with others, behind PgBouncer too. Sorting is
// what the planner does last: a page is read in the order of its index, and not
// picked from all that the planner, on what it knew once, thought was little. No
// page is worth the third of a second that it takes to compile a statement.
func (d *database) Do(ctx context.Context, tenant string, mode relation.Mode, f func(relation.Tx) error) (err error) {
	options := pgx.TxOptions{AccessMode: pgx.ReadWrite}
	role := "signet_app"
	switch mode {
	case relation.Read:
		options.AccessMode = pgx.ReadOnly
	case relation.Own:
		role = "none"
		defer func() { err = asOwner(err) }()
	}
	tx, err := d.pool.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	defer func() {
		// The request may be over, or have panicked; its transaction must be too.
		if rollback := tx.Rollback(context.WithoutCancel(ctx)); rollback != nil && !errors.Is(rollback, pgx.ErrTxClosed) {
			err = errors.Join(err, rollback)
		}
	}()
	_, err = tx.Exec(ctx, `SELECT set_config('role', $3, true), set_config('signet.tenant', $1, true),
		set_config('statement_timeout', $2, true), set_config('enable_sort', 'off', true), set_config('jit', 'off', true)`, tenant, statementTimeout, role)
	if err != nil {
		return err
	}
	if mode == relation.Own {
		if err := d.agree(ctx, tx); err != nil {
			return err
		}
	}
	if err := f(transaction{tx}); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// skew is how far the clock of who removes records may be from the database's.
const skew = time.Hour

// agree holds this machine's clock, which says what goes, against the database's: what
// is removed by a clock that is wrong does not come back.
func (d *database) agree(ctx context.Context, tx pgx.Tx) error {
	var there time.Time
	if err := tx.QueryRow(ctx, `SELECT now()`).Scan(&there); err != nil {
		return err
	}
	if here := d.clock(); here.Sub(there).Abs() > skew {
		return fmt.Errorf("it is %s here and %s at the database: set the clock that is wrong, by which records would be removed",
			here.UTC().Format(time.RFC3339), there.UTC().Format(time.RFC3339))
	}
	return nil
}

// insufficientPrivilege is the SQLSTATE of what a role may not do.
const insufficientPrivilege = "42501"

// asOwner is an error of what only the owner may do.
func asOwner(err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == insufficientPrivilege {
		return fmt.Errorf("%w (%w)", store.ErrNotOwner, err)
	}
	return err
}

// Lock implements relation.DB.
func (*database) Lock() string { return " FOR UPDATE" }

// TryLock implements relation.DB.
func (*database) TryLock() string { return " FOR UPDATE SKIP LOCKED" }

// Ping implements relation.DB.
func (d *database) Ping(ctx context.Context) error { return d.pool.Ping(ctx) }

// Close implements relation.DB.
func (d *database) Close() error {
	d.pool.Close()
	return nil
}

// transaction is a relation.Tx.
type transaction struct{ tx pgx.Tx }

// Exec implements relation.Tx.
func (t transaction) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(ctx, sql, args...)
	return tag.RowsAffected(), err
}

// ExecEach implements relation.Tx.
func (t transaction) ExecEach(ctx context.Context, sql string, each [][]any) error {
	var batch pgx.Batch
	for _, args := range each {
		batch.Queue(sql, args...)
	}
	return t.tx.SendBatch(ctx, &batch).Close()
}

// Query implements relation.Tx.
func (t transaction) Query(ctx context.Context, sql string, args ...any) (relation.Rows, error) {
	return t.tx.Query(ctx, sql, args...)
}
