package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/signet-egress/signet/internal/collector/store/relation"
)

// ahead is for how many months after this one there are partitions, so that a
// database that is not maintained for a while has no records in the default one.
const ahead = 3

// Maintain implements relation.DB: it makes the partitions from last month's on.
func (d *database) Maintain(ctx context.Context, now time.Time) error {
	return d.Do(ctx, "", relation.Write, func(tx relation.Tx) error {
		_, err := tx.Exec(ctx, `SELECT signet_make_partitions($1, $2)`, month(now, -1), 2+ahead)
		return err
	})
}

// month is the beginning of a month, so many after that of a time.
func month(of time.Time, more int) time.Time {
	of = of.UTC()
	return time.Date(of.Year(), of.Month()+time.Month(more), 1, 0, 0, 0, 0, time.UTC)
}

const partitionPrefix = "records_"

// Reclaim implements relation.DB: it drops the partitions of months before a time
// that are empty.
func (d *database) Reclaim(ctx context.Context, before time.Time) error {
	rows, err := d.pool.Query(ctx, `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = to_regclass('records') ORDER BY c.relname`)
	if err != nil {
		return fmt.Errorf("list the partitions: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list the partitions: %w", err)
	}
	for _, name := range names {
		of, err := time.Parse("2006_01", strings.TrimPrefix(name, partitionPrefix))
		if err != nil || month(of, 1).After(before) { // records_default, or a month that may have more
			continue
		}
		if err := d.dropEmpty(ctx, name); err != nil {
			return fmt.Errorf("drop the partition %s: %w", name, err)
		}
	}
	return nil
}

// lockNotAvailable is the SQLSTATE of a statement that has waited for a lock for too
// long.
const lockNotAvailable = "55P03"

// busy is how long the drop of a partition waits for its locks. Those who insert
// records wait behind it for as long.
const busy = "1s"

// dropEmpty drops a partition unless it has rows, or somebody uses the table for
// longer than a drop may wait. The partition is read by its own name, which has no
// row-level security, so that its owner sees the rows of all tenants.
func (d *database) dropEmpty(ctx context.Context, name string) error {
	partition := pgx.Identifier{name}.Sanitize()
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		hasRows := func() (has bool, err error) {
			err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+partition+`)`).Scan(&has)
			return has, err
		}
		// A look without locks: most months that are looked at have rows.
		if has, err := hasRows(); err != nil || has {
			return err
		}
		// In the order in which inserts lock them.
		for _, statement := range []string{
			`SET LOCAL lock_timeout = '` + busy + `'`,
			`LOCK TABLE ONLY records IN ACCESS EXCLUSIVE MODE`,
			`LOCK TABLE ` + partition + ` IN ACCESS EXCLUSIVE MODE`,
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		if has, err := hasRows(); err != nil || has {
			return err
		}
		_, err := tx.Exec(ctx, `DROP TABLE `+partition)
		return err
	})
	if failed, ok := errors.AsType[*pgconn.PgError](err); ok && failed.Code == lockNotAvailable {
		return nil
	}
	return asOwner(err)
}
