package sqlite

import (
	"context"
	_ "embed"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/relation"
	"github.com/signet-egress/signet/internal/collector/store/storetest"
)

//go:embed testdata/bulk.sql
var bulkSQL string

// Every method of a store finds its rows through indexes and in the order that
// they are asked for, whether SQLite knows what the tables hold or does not yet.
// It does not tell how many rows it has read: that, PostgreSQL does, of the same
// statements.
func TestPlans(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "collector.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, ok := s.DB.(*database)
	if !ok {
		t.Fatalf("the database is a %T", s.DB)
	}
	bulk := storetest.Bulk{Records: 2000}
	if _, err := d.write.ExecContext(t.Context(), "CREATE TEMP TABLE bulk AS SELECT $1 AS records, $2 AS start; "+bulkSQL, bulk.Records, storetest.BulkStart.UnixMilli()); err != nil {
		t.Fatal(err)
	}
	for i, analysed := range []bool{false, true} {
		if analysed {
			if _, err := d.write.ExecContext(t.Context(), "ANALYZE"); err != nil {
				t.Fatal(err)
			}
		}
		explained := &explaining{database: d}
		read := &relation.Store{DB: explained}
		storetest.EachUse(t, bulk, 4321+i, func(u *storetest.Use) {
			explained.plans = nil
			if err := u.Run(t.Context(), read); err != nil {
				t.Fatalf("%s: %v", u.Name, err)
			}
			plans := strings.Join(explained.plans, "\n")
			if walks(explained.plans) || !u.Window && strings.Contains(plans, "TEMP B-TREE") {
				t.Errorf("%s (analysed: %t): the plans are\n%s", u.Name, analysed, plans)
			}
		})
	}
}

// walks tells whether plans read a table from end to end; what is called a scan
// too is to go through the rows that another step has found.
func walks(plans []string) bool {
	for _, step := range plans {
		if name, ok := strings.CutPrefix(step, "    SCAN "); ok && !slices.Contains(plans, "    CO-ROUTINE "+name) {
			return true
		}
	}
	return false
}

// explaining has each statement explained before it runs first.
type explaining struct {
	*database
	plans []string
}

func (e *explaining) Do(ctx context.Context, tenant string, mode relation.Mode, f func(relation.Tx) error) error {
	return e.database.Do(ctx, tenant, mode, func(tx relation.Tx) error {
		t, _ := tx.(transaction)
		return f(explainingTx{t, e})
	})
}

func (e *explaining) Insert(ctx context.Context, tx relation.Tx, tenant string, records []store.Record) (int64, error) {
	t, _ := tx.(explainingTx)
	return e.database.Insert(ctx, t.transaction, tenant, records)
}

type explainingTx struct {
	transaction
	to *explaining
}

func (tx explainingTx) Exec(ctx context.Context, statement string, args ...any) (int64, error) {
	if err := tx.explain(ctx, statement, args); err != nil {
		return 0, err
	}
	return tx.transaction.Exec(ctx, statement, args...)
}

func (tx explainingTx) ExecEach(ctx context.Context, statement string, each [][]any) error {
	if err := tx.explain(ctx, statement, each[0]); err != nil {
		return err
	}
	return tx.transaction.ExecEach(ctx, statement, each)
}

func (tx explainingTx) Query(ctx context.Context, statement string, args ...any) (relation.Rows, error) {
	if err := tx.explain(ctx, statement, args); err != nil {
		return nil, err
	}
	return tx.transaction.Query(ctx, statement, args...)
}

func (tx explainingTx) explain(ctx context.Context, statement string, args []any) error {
	if slices.Contains(tx.to.plans, statement) {
		return nil
	}
	tx.to.plans = append(tx.to.plans, statement)
	rows, err := tx.tx.QueryContext(ctx, "EXPLAIN QUERY PLAN "+statement, stored(args)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return err
		}
		tx.to.plans = append(tx.to.plans, "    "+detail)
	}
	return rows.Err()
}
