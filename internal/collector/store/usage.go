package store

import (
	"context"
	"time"

	"github.com/signet-egress/signet/receipts"
)

// Usage is what was counted, hour by hour, as records came in.
type Usage interface {
	// Rollups are a page of the hours in [from, to), in the order of hour, outcome
	// and reason: RollupPage rows, or less at the end.
	Rollups(ctx context.Context, tenant string, q RollupQuery) ([]Rollup, error)
}

// RollupPage is how many rows Usage.Rollups gives at once.
const RollupPage = 10_000

// RollupQuery selects hours.
type RollupQuery struct {
	From, To time.Time // hours in [From, To)
	Agent    string    // "": the sum of all
	After    *Rollup   // to go on after; nil: from the beginning
}

// Rollup is one hour's receipts with one outcome and reason. Signet's own
// exchanges (internal) are not in it.
type Rollup struct {
	Hour    time.Time
	Outcome receipts.Outcome
	Reason  string
	Counts
}

// Counts are what was counted of some receipts.
type Counts struct{ Exchanges, BytesUp, BytesDown, VEX, FU int64 }

// MaxCount is where a count stays, whatever sidecars claim: the largest number that
// a record can hold.
const MaxCount = 1<<53 - 1

// Add makes c the counts of both.
func (c *Counts) Add(more Counts) {
	plus(&c.Exchanges, more.Exchanges)
	plus(&c.BytesUp, more.BytesUp)
	plus(&c.BytesDown, more.BytesDown)
	plus(&c.VEX, more.VEX)
	plus(&c.FU, more.FU)
}

func plus(sum *int64, n int64) { *sum = min(*sum+min(n, MaxCount), MaxCount) }

// EachRollup calls each with every row of the query, page by page.
func EachRollup(ctx context.Context, u Usage, tenant string, q RollupQuery, each func(*Rollup)) error {
	for {
		rows, err := u.Rollups(ctx, tenant, q)
		if err != nil {
			return err
		}
		for i := range rows {
			each(&rows[i])
		}
		if len(rows) < RollupPage {
			return nil
		}
		q.After = &rows[len(rows)-1]
	}
}
