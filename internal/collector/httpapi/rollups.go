package httpapi

import (
	"context"

	"github.com/signet-egress/signet/internal/collector/store"
)

// maxRollups is what Store.Rollups gives at once.
const maxRollups = 10_000

// EachRollup calls each with every hour's rows of the query, page by page.
func EachRollup(ctx context.Context, s store.Usage, tenant string, q store.RollupQuery, each func(*store.Rollup)) error {
	for {
		rows, err := s.Rollups(ctx, tenant, q)
		if err != nil {
			return err
		}
		whole := len(rows)
		if len(rows) == maxRollups { // the last hour may be cut: the next page begins with it
			for whole > 0 && rows[whole-1].Hour.Equal(rows[len(rows)-1].Hour) {
				whole--
			}
		}
		for i := range rows[:whole] {
			each(&rows[i])
		}
		if whole == len(rows) || whole == 0 {
			return nil
		}
		q.From = rows[whole].Hour
	}
}
