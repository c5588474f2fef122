package relation

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-egress/signet/internal/collector/store"
)

const selectLog = `SELECT size, root, checkpoint, at FROM logs WHERE tenant = $1`

func scanLog(scan scan) (l store.LogState, err error) {
	var root []byte
	err = scan(&l.Size, &root, &l.Checkpoint, timeOf(&l.At))
	copy(l.Root[:], root)
	return l, err
}

// LogState implements store.Log.
func (s *Store) LogState(ctx context.Context, tenant string) (store.LogState, error) {
	state, err := reading(ctx, s, tenant, "log", func(tx Tx) (store.LogState, error) {
		return one(ctx, tx, scanLog, selectLog, tenant)
	})
	if errors.Is(err, store.ErrNotFound) {
		return store.LogState{}, nil
	}
	return state, err
}

// Tile implements store.Log.
func (s *Store) Tile(ctx context.Context, tenant string, level int, n int64) ([]byte, error) {
	return reading(ctx, s, tenant, "tile", func(tx Tx) ([]byte, error) { return readTile(ctx, tx, tenant, level, n) })
}

func readTile(ctx context.Context, tx Tx, tenant string, level int, n int64) ([]byte, error) {
	return one(ctx, tx, func(scan scan) (data []byte, err error) {
		err = scan(&data)
		return data, err
	}, `SELECT data FROM log_tiles WHERE tenant = $1 AND level = $2 AND n = $3`, tenant, level, n)
}

// run is a run of a chain's records in the log: record first_seq+i is leaf start+i.
type run struct {
	id                    int64 // in the queue
	start, first, records int64
	chain                 string
}

const selectRuns = `SELECT 0, start, first_seq, records, CAST(chain_id AS text) AS chain FROM log_runs WHERE tenant = $1`

// LeafIndex implements store.Log.
func (s *Store) LeafIndex(ctx context.Context, tenant, chain string, seq int64) (int64, error) {
	if !isUUID(chain) {
		return 0, store.ErrNotFound
	}
	return reading(ctx, s, tenant, "log entry", func(tx Tx) (int64, error) {
		r, err := one(ctx, tx, scanRun,
			selectRuns+` AND chain_id = $2 AND first_seq <= $3 ORDER BY first_seq DESC LIMIT 1`, tenant, chain, seq)
		if err != nil {
			return 0, err
		}
		if seq >= r.first+r.records {
			return 0, store.ErrNotFound
		}
		return r.start + seq - r.first, nil
	})
}

func scanRun(scan scan) (r run, err error) {
	err = scan(&r.id, &r.start, &r.first, &r.records, &r.chain)
	return r, err
}

// LogEntries implements store.Log.
func (s *Store) LogEntries(ctx context.Context, tenant string, from int64, limit int) ([]store.Leaf, error) {
	limit = page(limit, 256, 1000)
	return reading(ctx, s, tenant, "log entries", func(tx Tx) ([]store.Leaf, error) {
		// The run that has the first leaf, which may begin before it, leads to the others.
		holds, err := one(ctx, tx, scanRun, selectRuns+` AND start <= $2 ORDER BY start DESC LIMIT 1`, tenant, from)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		runs, err := list(ctx, tx, scanRun, selectRuns+` AND start >= $2 AND start < $3 ORDER BY start`, tenant, holds.start, from+int64(limit))
		if err != nil {
			return nil, err
		}
		var leaves []store.Leaf
		for _, r := range runs {
			skip := max(0, from-r.start)
			if skip >= r.records {
				break // the log's end
			}
			most := min(r.records-skip, int64(limit-len(leaves)))
			some, err := loggedLeaves(ctx, tx, tenant, r.chain, r.first+skip, most)
			if err != nil {
				return nil, err
			}
			leaves = append(leaves, some...)
		}
		return leaves, nil
	})
}

// loggedLeaves are the leaves of n records of a chain, of which the first may have
// been removed since they came into the log.
func loggedLeaves(ctx context.Context, tx Tx, tenant, chain string, from, n int64) ([]store.Leaf, error) {
	stored, err := selectLeaves(ctx, tx, tenant, chain, from, from+n-1)
	removed := n - int64(len(stored))
	if err != nil || removed == 0 {
		return stored, err
	}
	c, err := one(ctx, tx, scanChain, selectChain, tenant, chain)
	if err != nil {
		return nil, err
	}
	if last := from + removed - 1; last > c.Pruned {
		return nil, fmt.Errorf("%d of %d records of chain %s from seq %d on, of which none behind seq %d was removed", len(stored), n, chain, from, c.Pruned)
	}
	leaves := make([]store.Leaf, removed, n)
	for i := range leaves {
		leaves[i] = store.Leaf{Chain: chain, Seq: from + int64(i)}
	}
	return append(leaves, stored...), nil
}

// readLeaves are the hashes of n records that are there.
func readLeaves(ctx context.Context, tx Tx, tenant, chain string, from, n int64) ([]store.Leaf, error) {
	leaves, err := selectLeaves(ctx, tx, tenant, chain, from, from+n-1)
	if err == nil && int64(len(leaves)) != n {
		err = fmt.Errorf("%d of %d records of chain %s from seq %d on", len(leaves), n, chain, from)
	}
	return leaves, err
}

func selectLeaves(ctx context.Context, tx Tx, tenant, chain string, from, to int64) ([]store.Leaf, error) {
	return list(ctx, tx, func(scan scan) (store.Leaf, error) {
		l := store.Leaf{Chain: chain}
		var digest []byte
		err := scan(&l.Seq, &digest)
		copy(l.Hash[:], digest)
		return l, err
	}, `SELECT seq, receipt_hash FROM records WHERE tenant = $1 AND chain_id = $2 AND seq BETWEEN $3 AND $4 ORDER BY seq`,
		tenant, chain, from, to)
}

// Waiting implements store.Log.
func (s *Store) Waiting(ctx context.Context, tenant string) (store.Waiting, error) {
	return reading(ctx, s, tenant, "log queue", func(tx Tx) (store.Waiting, error) {
		return one(ctx, tx, func(scan scan) (w store.Waiting, err error) {
			err = scan(&w.Records, timeOf(&w.Since))
			return w, err
		}, `SELECT CAST(COALESCE(SUM(records), 0) AS bigint), (SELECT r.received FROM records r,
			(SELECT chain_id, first_seq FROM log_queue WHERE tenant = $1 ORDER BY id LIMIT 1) AS q
			WHERE r.tenant = $1 AND r.chain_id = q.chain_id AND r.seq = q.first_seq)
			FROM (SELECT records FROM log_queue WHERE tenant = $1 ORDER BY id LIMIT 1000) AS first`, tenant)
	})
}

// Sequence implements store.Log.
func (s *Store) Sequence(ctx context.Context, tenant string, most int, grow store.Grow) (taken int, err error) {
	err = s.writing(ctx, tenant, "log", func(tx Tx) error {
		taken = 0
		if _, err := tx.Exec(ctx, `INSERT INTO logs (tenant, size, root) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING`,
			tenant, make([]byte, 32)); err != nil {
			return err
		}
		old, err := one(ctx, tx, scanLog, selectLog+s.TryLock(), tenant)
		if errors.Is(err, store.ErrNotFound) {
			return nil // another has the lock
		}
		if err != nil {
			return err
		}
		leaves, err := dequeue(ctx, tx, tenant, old.Size, most)
		if err != nil || len(leaves) == 0 {
			return err
		}
		grown, err := grow(ctx, old, leaves, func(level int, n int64) ([]byte, error) { return readTile(ctx, tx, tenant, level, n) })
		if err != nil {
			return err
		}
		taken = len(leaves)
		return saveLog(ctx, tx, tenant, grown)
	})
	return taken, err
}

// dequeue moves runs from the queue behind the log's end, and returns their leaves.
func dequeue(ctx context.Context, tx Tx, tenant string, size int64, most int) ([][32]byte, error) {
	queued, err := list(ctx, tx, scanRun,
		`SELECT id, 0, first_seq, records, CAST(chain_id AS text) AS chain FROM log_queue WHERE tenant = $1 ORDER BY id LIMIT 100`, tenant)
	if err != nil {
		return nil, err
	}
	var leaves [][32]byte
	for _, r := range queued {
		if len(leaves) > 0 && len(leaves)+int(r.records) > most {
			break
		}
		some, err := readLeaves(ctx, tx, tenant, r.chain, r.first, r.records)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM log_queue WHERE tenant = $1 AND id = $2`, tenant, r.id); err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO log_runs (tenant, start, chain_id, first_seq, records) VALUES ($1, $2, $3, $4, $5)`,
			tenant, size+int64(len(leaves)), r.chain, r.first, r.records); err != nil {
			return nil, err
		}
		for i := range some {
			leaves = append(leaves, some[i].Hash)
		}
	}
	return leaves, nil
}

func saveLog(ctx context.Context, tx Tx, tenant string, g store.Growth) error {
	for _, t := range g.Tiles {
		if _, err := tx.Exec(ctx,
			`INSERT INTO log_tiles (tenant, level, n, data) VALUES ($1, $2, $3, $4)
			 ON CONFLICT (tenant, level, n) DO UPDATE SET data = excluded.data`, tenant, t.Level, t.N, t.Data); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `UPDATE logs SET size = $2, root = $3, checkpoint = $4, at = $5 WHERE tenant = $1`,
		tenant, g.State.Size, g.State.Root[:], g.State.Checkpoint, when(g.State.At))
	return err
}
