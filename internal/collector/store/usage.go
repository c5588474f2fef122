package store

import (
	"context"
	"time"

	"github.com/signet-egress/signet/receipts"
)

// Usage is what was counted, hour by hour, as records came in.
type Usage interface {
	// Rollups are the hours in [from, to), in order, 10,000 rows at most; the last
	// row's hour may then be incomplete.
	Rollups(ctx context.Context, tenant string, q RollupQuery) ([]Rollup, error)
}

// RollupQuery selects hours.
type RollupQuery struct {
	From, To time.Time // hours in [From, To)
	Agent    string    // "": the sum of all
}

// Rollup is one hour's receipts with one outcome and reason. Signet's own
// exchanges (internal) are not in it.
type Rollup struct {
	Hour      time.Time
	Outcome   receipts.Outcome
	Reason    string
	Exchanges int64
	BytesUp   int64
	BytesDown int64
	VEX, FU   int64
}
