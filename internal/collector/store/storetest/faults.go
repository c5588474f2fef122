package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/relation"
)

// Faults holds a store over a database to what becomes of a transaction that goes
// wrong on its way.
func Faults(t *testing.T, s *relation.Store) {
	t.Helper()
	create(t, s, "acme")
	testInterrupted(t, s)
	testLeft(t, s)
	testPanics(t, s)
}

// Pruning is interrupted before each of its statements and before its commit: each time
// nothing has changed, and the next attempt does all of it.
func testInterrupted(t *testing.T, s *relation.Store) {
	ctx := t.Context()
	c := aged(t, s)
	failing := &faulty{DB: s.DB}
	over := &relation.Store{DB: failing}
	p := store.Prune{Chain: c.ID, Before: day, Months: 2, At: day, Limit: 25}
	for n := int64(25); n <= 40; n += 15 {
		known, stored, removals := get(s.Chain(ctx, "acme", c.ID))(t), get(s.Stored(ctx, "acme"))(t), get(s.Removals(ctx, "acme"))(t)
		steps := 0
		for ; ; steps++ {
			failing.after = steps
			gone, err := over.Prune(ctx, "acme", p)
			if err == nil {
				same(t, "pruned at last", gone.Last, n)
				break
			}
			wantError(t, "interrupted", err, errInterrupted)
			same(t, "nothing is gone", gone, store.Pruned{})
			same(t, "the chain", get(s.Chain(ctx, "acme", c.ID))(t), known)
			same(t, "storage", get(s.Stored(ctx, "acme"))(t), stored)
			same(t, "removals", get(s.Removals(ctx, "acme"))(t), removals)
			same(t, "records", len(get(s.Range(ctx, "acme", c.ID, known.Pruned+1, 1000))(t)), 60-int(known.Pruned))
		}
		if steps < 8 {
			t.Errorf("it was interrupted %d times", steps)
		}
		wantPruned(t, s, c, n)
	}
}

// A stream leaves before its batch is committed: it is all the same, since others'
// batches are in the transaction too.
func testLeft(t *testing.T, s *relation.Store) {
	c := register(t, s, "a", day)
	c.Exchanges(3)
	ctx, leave := context.WithCancel(t.Context())
	over := &relation.Store{DB: leaving{s.DB, leave}}
	must1(t)(over.Append(ctx, "acme", Batch(t, c.Lines, day)))
	same(t, "the head", get(s.Chain(t.Context(), "acme", c.ID))(t).Head.Seq, c.Head().Chain.Seq)
}

// A fault in what a transaction does, which the stream or call that it ends recovers
// from, does not keep the connection.
func testPanics(t *testing.T, s *relation.Store) {
	const more = 20 // than a store has connections
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range more {
		for _, mode := range []relation.Mode{relation.Read, relation.Write} {
			func() {
				defer func() { _ = recover() }()
				err := s.Do(ctx, "acme", mode, func(relation.Tx) error { panic("a fault") })
				t.Fatalf("a fault is an error: %v", err)
			}()
		}
	}
	must1(t)(s.Stored(ctx, "acme"))
}

// leaving is a database that is left at the end of each transaction.
type leaving struct {
	relation.DB
	leave func()
}

// Do implements relation.DB.
func (d leaving) Do(ctx context.Context, tenant string, mode relation.Mode, f func(relation.Tx) error) error {
	return d.DB.Do(ctx, tenant, mode, func(tx relation.Tx) error {
		defer d.leave()
		return f(tx)
	})
}

var errInterrupted = errors.New("interrupted")

// faulty is a database that fails a transaction before its statement number after.
type faulty struct {
	relation.DB
	after int
}

// Do implements relation.DB.
func (d *faulty) Do(ctx context.Context, tenant string, mode relation.Mode, f func(relation.Tx) error) error {
	return d.DB.Do(ctx, tenant, mode, func(tx relation.Tx) error {
		counted := &faultyTx{Tx: tx, left: d.after}
		if err := f(counted); err != nil {
			return err
		}
		return counted.step()
	})
}

type faultyTx struct {
	relation.Tx
	left int
}

func (tx *faultyTx) step() error {
	if tx.left == 0 {
		return errInterrupted
	}
	tx.left--
	return nil
}

// Exec implements relation.Tx.
func (tx *faultyTx) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	if err := tx.step(); err != nil {
		return 0, err
	}
	return tx.Tx.Exec(ctx, sql, args...)
}

// Query implements relation.Tx.
func (tx *faultyTx) Query(ctx context.Context, sql string, args ...any) (relation.Rows, error) {
	if err := tx.step(); err != nil {
		return nil, err
	}
	return tx.Tx.Query(ctx, sql, args...)
}
