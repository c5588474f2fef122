package relation

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
)

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
