package relation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
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
	var ending string
	for _, a := range batches {
		if err := moveHead(ctx, tx, tenant, &a.after, a.batch); err != nil {
			return err
		}
		c := &a.after
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

// moveHead is a chain behind a batch; what comes in or goes with that beside its
// records is written.
func moveHead(ctx context.Context, tx Tx, tenant string, c *store.Chain, b *store.Batch) error {
	last := &b.Records[len(b.Records)-1]
	c.Head = store.Head{Seq: last.Seq, Hash: last.Hash}
	c.HeadTS, c.Received, c.LastSign, c.CleanStop, c.Gap = last.TS, b.Received, b.Received, last.CleanStop, time.Time{}
	c.Build = cmp.Or(b.Build, c.Build)
	if c.FirstTS.IsZero() {
		c.FirstTS = b.Records[0].TS
	}
	if lost := b.GivenUp; lost != (store.Span{}) { // the newest key too, perhaps
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

// rollupKey is a row of the roll-ups: of an agent, or, as that of agent "", of all.
type rollupKey struct {
	hour    time.Time
	agent   string
	outcome receipts.Outcome
	reason  string
}

// compare has the rows of all agents last, since the tenant's chains share them.
func (k rollupKey) compare(other rollupKey) int {
	return cmp.Or(cmp.Compare(other.agent, k.agent), k.hour.Compare(other.hour), cmp.Compare(k.outcome, other.outcome), cmp.Compare(k.reason, other.reason))
}

// addRollups counts receipts by their hour. Rows are taken in one order, so that
// two transactions cannot wait for each other.
func addRollups(ctx context.Context, tx Tx, tenant string, records []store.Record) error {
	sums := make(map[rollupKey]store.Counts)
	for i := range records {
		r := &records[i]
		if r.Type != receipts.TypeReceipt || r.Internal != "" {
			continue
		}
		counts := store.Counts{Exchanges: r.Count, BytesUp: r.BytesUp, BytesDown: r.BytesDown, VEX: r.VEX, FU: r.FU}
		ofAll := rollupKey{hour: r.TS.UTC().Truncate(time.Hour), outcome: r.Outcome, reason: r.Reason}
		ofAgent := ofAll
		ofAgent.agent = r.Agent
		for _, k := range slices.Compact([]rollupKey{ofAgent, ofAll}) { // one, where the agent has no name
			sum := sums[k]
			sum.Add(counts)
			sums[k] = sum
		}
	}
	var rows [][]any
	for _, k := range slices.SortedFunc(maps.Keys(sums), rollupKey.compare) {
		sum := sums[k]
		rows = append(rows, []any{tenant, when(k.hour), k.agent, string(k.outcome), k.reason, sum.Exchanges, sum.BytesUp, sum.BytesDown, sum.VEX, sum.FU})
	}
	return tx.ExecEach(ctx, upsertRollup, rows)
}

var upsertRollup = `INSERT INTO rollups (tenant, hour, agent, outcome, reason, exchanges, bytes_up, bytes_down, vex, fu)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
	ON CONFLICT (tenant, agent, hour, outcome, reason) DO UPDATE SET ` +
	added("exchanges") + `, ` + added("bytes_up") + `, ` + added("bytes_down") + `, ` + added("vex") + `, ` + added("fu")

func added(column string) string {
	sum, most := `rollups.`+column+` + excluded.`+column, strconv.Itoa(store.MaxCount)
	return column + ` = CASE WHEN ` + sum + ` > ` + most + ` THEN ` + most + ` ELSE ` + sum + ` END`
}

// Hashes implements store.Chains.
func (s *Store) Hashes(ctx context.Context, tenant, chain string, from, to int64) (map[int64]string, error) {
	hashes := make(map[int64]string)
	if !isUUID(chain) {
		return hashes, nil
	}
	return reading(ctx, s, tenant, "records of chain "+chain, func(tx Tx) (map[int64]string, error) {
		leaves, err := selectLeaves(ctx, tx, tenant, chain, from, to)
		for i := range leaves {
			hashes[leaves[i].Seq] = hashOf(leaves[i].Hash[:])
		}
		return hashes, err
	})
}

// Rollups implements store.Usage.
func (s *Store) Rollups(ctx context.Context, tenant string, q store.RollupQuery) ([]store.Rollup, error) {
	if q.Agent != "" && store.Findable(q.Agent) == "" {
		return nil, nil
	}
	var w where
	w.and(`tenant = `, tenant)
	w.and(`agent = `, q.Agent)
	w.and(`hour < `, when(q.To))
	if a := q.After; a == nil {
		w.and(`hour >= `, when(q.From))
	} else {
		w.text(` AND (hour, outcome, reason) > (` + w.bind(when(a.Hour)) + `, ` + w.bind(string(a.Outcome)) + `, ` + w.bind(a.Reason) + `)`)
	}
	return reading(ctx, s, tenant, "usage", func(tx Tx) ([]store.Rollup, error) {
		return list(ctx, tx, func(scan scan) (r store.Rollup, err error) {
			err = scan(timeOf(&r.Hour), &r.Outcome, &r.Reason, &r.Exchanges, &r.BytesUp, &r.BytesDown, &r.VEX, &r.FU)
			return r, err
		}, `SELECT hour, outcome, reason, exchanges, bytes_up, bytes_down, vex, fu FROM rollups WHERE `+w.sql()+
			` ORDER BY hour, outcome, reason LIMIT `+w.bind(store.RollupPage), w.args...)
	})
}
