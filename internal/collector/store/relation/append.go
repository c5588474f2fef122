package relation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// append adds the batches of a group, of which one whose chain has moved fails by
// itself; what else goes wrong is an error of all.
func (s *Store) append(ctx context.Context, tx Tx, tenant string, group []*appending) error {
	var taken []*appending
	var records []store.Record
	for _, a := range group {
		var err error
		a.after, err = s.lockChain(ctx, tx, tenant, a.batch.Chain, a.batch.After)
		switch moved := new(store.HeadMovedError); {
		case errors.As(err, &moved), errors.Is(err, store.ErrNotFound):
			a.err = err
			continue
		case err != nil:
			return err
		}
		taken, records = append(taken, a), append(records, a.batch.Records...)
	}
	if len(taken) == 0 {
		return nil
	}
	if err := s.insert(ctx, tx, tenant, records); err != nil {
		return err
	}
	if err := moveHeads(ctx, tx, tenant, taken); err != nil {
		return err
	}
	if err := addToLog(ctx, tx, tenant, taken); err != nil {
		return err
	}
	// Last, because the tenant's chains share these rows.
	if err := addRollups(ctx, tx, tenant, records); err != nil {
		return err
	}
	var bytes int64
	for _, a := range taken {
		bytes += a.batch.Size()
	}
	stored, err := addStored(ctx, tx, tenant, bytes)
	if err != nil {
		return err
	}
	return stored.Check(0)
}

// insert adds records. The lock of their chain's row is what keeps a seq from being
// taken twice; a record that is there all the same is a fault, and nothing is kept.
func (s *Store) insert(ctx context.Context, tx Tx, tenant string, records []store.Record) error {
	n, err := s.Insert(ctx, tx, tenant, records)
	if err == nil && n != int64(len(records)) {
		err = fmt.Errorf("%d of %d records are stored already, behind the heads of their chains", int64(len(records))-n, len(records))
	}
	return err
}

// addToLog puts the records of batches into the log's queue.
func addToLog(ctx context.Context, tx Tx, tenant string, batches []*appending) error {
	var queued [][]any
	for _, a := range batches {
		for _, r := range runsOf(a.batch.Records) {
			queued = append(queued, []any{tenant, a.batch.Chain, r.first, r.records})
		}
	}
	return tx.ExecEach(ctx, `INSERT INTO log_queue (tenant, chain_id, first_seq, records) VALUES ($1, $2, $3, $4)`, queued)
}

// runsOf cuts records where a seq is left out, which only an event that owns up
// to a loss does.
func runsOf(records []store.Record) []run {
	var runs []run
	for i := range records {
		if i == 0 || records[i].Seq != records[i-1].Seq+1 {
			runs = append(runs, run{first: records[i].Seq})
		}
		runs[len(runs)-1].records++
	}
	return runs
}

// moveHeads has chains end where their batches do, and ends the alarms that those
// answer.
func moveHeads(ctx context.Context, tx Tx, tenant string, batches []*appending) error {
	var heads, cleared [][]any
	var ending string // one statement for all
	for _, a := range batches {
		c := &a.after
		advance(c, a.batch)
		if err := changeKeys(ctx, tx, tenant, c, a.batch); err != nil {
			return err
		}
		hash, err := Digest(c.Head.Hash)
		if err != nil {
			return err
		}
		heads = append(heads, []any{
			tenant, c.ID, c.Head.Seq, hash, when(c.HeadTS), when(c.Received), c.CleanStop, c.Build, c.KID, c.PublicKey, when(a.batch.Records[0].TS),
		})
		var args []any
		ending, args = clearing(tenant, c.ID, c.Received, store.AlarmGap, store.AlarmSilent, store.AlarmQuota)
		cleared = append(cleared, args)
	}
	err := tx.ExecEach(ctx,
		`UPDATE chains SET head_seq = $3, head_hash = $4, head_ts = $5, received = $6, last_sign = $6, clean_stop = $7, gap_since = NULL, build = $8, kid = $9, public_key = $10,
		 first_ts = COALESCE(first_ts, $11) WHERE tenant = $1 AND chain_id = $2`, heads)
	if err != nil {
		return err
	}
	return tx.ExecEach(ctx, ending, cleared)
}

// advance has a chain end where a batch does.
func advance(c *store.Chain, b *store.Batch) {
	last := &b.Records[len(b.Records)-1]
	c.Head = store.Head{Seq: last.Seq, Hash: last.Hash}
	c.HeadTS, c.Received, c.LastSign, c.CleanStop, c.Gap = last.TS, b.Received, b.Received, last.CleanStop, time.Time{}
	c.Build = cmp.Or(b.Build, c.Build)
	if c.FirstTS.IsZero() {
		c.FirstTS = b.Records[0].TS
	}
}

// changeKeys gives up what a batch says is lost, the newest key with it, perhaps, and
// adds the keys that the batch introduces.
func changeKeys(ctx context.Context, tx Tx, tenant string, c *store.Chain, b *store.Batch) error {
	if lost := b.GivenUp; lost != (store.Span{}) {
		if _, err := tx.Exec(ctx, `INSERT INTO given_up (tenant, chain_id, first_seq, last_seq) VALUES ($1, $2, $3, $4)`,
			tenant, b.Chain, lost.First, lost.Last); err != nil {
			return err
		}
		keys, err := list(ctx, tx, scanKey, selectKeys, tenant, b.Chain)
		if err != nil {
			return err
		}
		c.KID, c.PublicKey = keys[len(keys)-1].KID, keys[len(keys)-1].PublicKey
	}
	for _, key := range b.Keys {
		if _, err := tx.Exec(ctx, insertKey, tenant, b.Chain, key.KID, key.PublicKey, key.FromSeq); err != nil {
			return err
		}
		c.KID, c.PublicKey = key.KID, key.PublicKey
	}
	return nil
}
