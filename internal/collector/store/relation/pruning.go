package relation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Retention implements store.Pruning.
func (s *Store) Retention(ctx context.Context, tenant string) (store.Retention, error) {
	return reading(ctx, s, tenant, "retention of tenant "+tenant, func(tx Tx) (store.Retention, error) {
		return one(ctx, tx, func(scan scan) (r store.Retention, err error) {
			err = scan(&r.Months, timeOf(&r.Before))
			return r, err
		}, `SELECT COALESCE(r.months, 0), (SELECT before FROM removals WHERE tenant = $1 ORDER BY before DESC LIMIT 1)
			FROM tenants t LEFT JOIN retention r ON r.tenant = t.tenant WHERE t.tenant = $1`, tenant)
	})
}

// SetRetention implements store.Pruning.
func (s *Store) SetRetention(ctx context.Context, tenant string, months int) error {
	return s.owning(ctx, tenant, "retention of tenant "+tenant, func(tx Tx) error {
		if _, err := one(ctx, tx, scanTenant, selectTenant, tenant); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO retention (tenant, months) VALUES ($1, $2) ON CONFLICT (tenant) DO UPDATE SET months = excluded.months`, tenant, months)
		return err
	})
}

// owning is writing as the owner of the tables.
func (s *Store) owning(ctx context.Context, tenant, what string, f func(Tx) error) error {
	return wrapped("write", what, s.Do(ctx, tenant, Own, f))
}

// OldChains implements store.Pruning.
func (s *Store) OldChains(ctx context.Context, tenant string, q store.SinceQuery) ([]store.Chain, error) {
	return s.chainsSince(ctx, tenant, `first_ts`, ` AND first_ts IS NOT NULL`, q)
}

// expired is what is looked at of a record that may go.
type expired struct {
	seq, size    int64
	ts, received time.Time
	hash         []byte
}

func scanExpired(scan scan) (e expired, err error) {
	err = scan(&e.seq, timeOf(&e.ts), timeOf(&e.received), &e.size, &e.hash)
	e.hash = bytes.Clone(e.hash)
	return e, err
}

// Prune implements store.Pruning.
func (s *Store) Prune(ctx context.Context, tenant string, p store.Prune) (gone store.Pruned, err error) {
	if !isUUID(p.Chain) {
		return gone, store.ErrNotFound
	}
	what := "old records of chain " + p.Chain
	if p.Rehearse {
		return reading(ctx, s, tenant, what, func(tx Tx) (store.Pruned, error) {
			_, _, gone, err := findExpired(ctx, tx, tenant, &p, ``)
			return gone, err
		})
	}
	err = s.owning(ctx, tenant, what, func(tx Tx) (err error) {
		gone, err = s.prune(ctx, tx, tenant, &p)
		return err
	})
	if err != nil {
		return store.Pruned{}, err
	}
	return gone, nil
}

func (s *Store) prune(ctx context.Context, tx Tx, tenant string, p *store.Prune) (store.Pruned, error) {
	chain, records, gone, err := findExpired(ctx, tx, tenant, p, s.Lock())
	if err != nil || gone.Records == 0 {
		return gone, err
	}
	// What bundles and verifiers need of a key's introduction stays, beside the key.
	if _, err := tx.Exec(ctx, `UPDATE chain_keys SET introduced = (SELECT r.line FROM records r WHERE r.tenant = $1 AND r.chain_id = $2
		AND r.seq = CASE WHEN chain_keys.from_seq > 1 THEN chain_keys.from_seq - 1 ELSE 1 END)
		WHERE tenant = $1 AND chain_id = $2 AND from_seq <= $3 AND introduced IS NULL`, tenant, p.Chain, gone.Last+1); err != nil {
		return gone, err
	}
	n, err := tx.Exec(ctx, `DELETE FROM records WHERE tenant = $1 AND chain_id = $2 AND seq >= $3 AND seq <= $4`, tenant, p.Chain, records[0].seq, gone.Last)
	if err != nil {
		return gone, err
	}
	if n != gone.Records {
		return gone, fmt.Errorf("%d records go from seq %d to %d, and not %d", n, records[0].seq, gone.Last, gone.Records)
	}
	if err := notePruned(ctx, tx, tenant, &chain, records); err != nil {
		return gone, err
	}
	// Last, because the tenant's chains share these rows.
	return gone, noteRemoval(ctx, tx, tenant, p, records, gone.Bytes)
}

// findExpired is a chain and those of its oldest records that may go. What waits for
// the log does not: a chain's records come into it in their order.
func findExpired(ctx context.Context, tx Tx, tenant string, p *store.Prune, lock string) (chain store.Chain, records []expired, found store.Pruned, err error) {
	if chain, err = one(ctx, tx, scanChain, selectChain+lock, tenant, p.Chain); err != nil {
		return chain, nil, found, err
	}
	logged, err := one(ctx, tx, scanRun, selectRuns+` AND chain_id = $2 ORDER BY first_seq DESC LIMIT 1`, tenant, p.Chain)
	if errors.Is(err, store.ErrNotFound) {
		return chain, nil, found, nil
	}
	if err != nil {
		return chain, nil, found, err
	}
	limit := page(p.Limit, 1000, 10_000)
	records, err = list(ctx, tx, scanExpired, `SELECT seq, ts, received, octet_length(line), receipt_hash FROM records
		WHERE tenant = $1 AND chain_id = $2 AND seq > $3 AND seq < $4 ORDER BY seq LIMIT $5`,
		tenant, p.Chain, max(chain.Pruned, p.After), logged.first+logged.records, limit)
	if err != nil {
		return chain, nil, found, err
	}
	for i := range records {
		if !records[i].ts.Before(p.Before) || !records[i].received.Before(p.Before) {
			records = records[:i]
			break
		}
		found.Records, found.Last = found.Records+1, records[i].seq
		found.Bytes += records[i].size
	}
	found.More = len(records) == limit
	return chain, records, found, nil
}

// notePruned has the chain's row say where the removed records end, and which the
// oldest one is that is left.
func notePruned(ctx context.Context, tx Tx, tenant string, chain *store.Chain, records []expired) error {
	last, newest := records[len(records)-1].seq, chain.PrunedTS
	if _, ts := made(records); ts.After(newest) {
		newest = ts
	}
	if _, err := tx.Exec(ctx, `UPDATE chains SET pruned_seq = $3, pruned_ts = $4, first_ts = (SELECT r.ts FROM records r
		WHERE r.tenant = $1 AND r.chain_id = $2 AND r.seq > $3 ORDER BY r.seq LIMIT 1) WHERE tenant = $1 AND chain_id = $2`,
		tenant, chain.ID, last, when(newest)); err != nil {
		return err
	}
	anchor, err := lastNotGivenUp(ctx, tx, tenant, chain.ID, records)
	if err != nil || anchor == nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE chains SET anchor_seq = $3, anchor_hash = $4, anchor_ts = $5 WHERE tenant = $1 AND chain_id = $2`,
		tenant, chain.ID, anchor.seq, anchor.hash, when(anchor.ts))
	return err
}

// lastNotGivenUp is the last of some records that was not given up; nil: all were.
func lastNotGivenUp(ctx context.Context, tx Tx, tenant, chain string, records []expired) (*expired, error) {
	for len(records) > 0 {
		last := &records[len(records)-1]
		lost, err := nextGivenUp(ctx, tx, tenant, chain, last.seq)
		if err != nil || last.seq < lost.First {
			return last, err
		}
		for len(records) > 0 && records[len(records)-1].seq >= lost.First {
			records = records[:len(records)-1]
		}
	}
	return nil, nil
}

// made is when the oldest and the newest of some records were made. That is not the
// order of their seqs where some of them were given up.
func made(records []expired) (oldest, newest time.Time) {
	oldest, newest = records[0].ts, records[0].ts
	for i := range records {
		if ts := records[i].ts; ts.Before(oldest) {
			oldest = ts
		} else if ts.After(newest) {
			newest = ts
		}
	}
	return oldest, newest
}

// noteRemoval takes records off what the tenant keeps, and accounts for them.
func noteRemoval(ctx context.Context, tx Tx, tenant string, p *store.Prune, records []expired, size int64) error {
	oldest, newest := made(records)
	if _, err := tx.Exec(ctx, `INSERT INTO removals (tenant, before, months, records, bytes, first_ts, last_ts, began, ended)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
		ON CONFLICT (tenant, before, months) DO UPDATE SET records = removals.records + excluded.records, bytes = removals.bytes + excluded.bytes,
		first_ts = CASE WHEN excluded.first_ts < removals.first_ts THEN excluded.first_ts ELSE removals.first_ts END,
		last_ts = CASE WHEN excluded.last_ts > removals.last_ts THEN excluded.last_ts ELSE removals.last_ts END, ended = excluded.ended`,
		tenant, when(p.Before), p.Months, len(records), size, when(oldest), when(newest), when(p.At)); err != nil {
		return err
	}
	return updated(tx.Exec(ctx, `UPDATE storage SET bytes = bytes - $2 WHERE tenant = $1`, tenant, size))
}

// Removals implements store.Pruning.
func (s *Store) Removals(ctx context.Context, tenant string) ([]store.Removal, error) {
	return reading(ctx, s, tenant, "removals of tenant "+tenant, func(tx Tx) ([]store.Removal, error) {
		return list(ctx, tx, func(scan scan) (r store.Removal, err error) {
			err = scan(timeOf(&r.Before), &r.Months, &r.Records, &r.Bytes, timeOf(&r.First), timeOf(&r.Last), timeOf(&r.Began), timeOf(&r.Ended))
			return r, err
		}, `SELECT before, months, records, bytes, first_ts, last_ts, began, ended FROM removals WHERE tenant = $1
			ORDER BY before DESC, months DESC LIMIT 1000`, tenant)
	})
}
