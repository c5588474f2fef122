package collector

import (
	"cmp"
	"context"
	"time"

	"github.com/signet-egress/signet/internal/collector/budget"
	"github.com/signet-egress/signet/internal/collector/ingest"
)

// defaultTenantRate is more records a second than two cores verify.
const defaultTenantRate = 10_000

// burstSeconds is how much of its budget a tenant may use at once: a sidecar that
// was offline comes back with days of records.
const burstSeconds = 10

// budgets bound how often the collector is asked for what.
type budgets struct {
	requests   limiter // of each token: enough for people and for a dashboard, not for reading everything in a moment
	refused    limiter // of each address: attempts with tokens that are not valid
	enrolments limiter // of all sidecars: far above what a fleet that restarts needs, and far below what guessing would
	records    limiter // of each tenant
}

// limiter holds each of those who ask to a number of things a second.
type limiter interface {
	Take(ctx context.Context, who string, n int) (wait time.Duration)
}

func newBudgets(o Options) budgets {
	of := func(perSecond, burst int) limiter {
		return budget.NewLocal(budget.Limit{PerSecond: perSecond, Burst: burst}, time.Now)
	}
	rate := cmp.Or(o.TenantRate, defaultTenantRate)
	return budgets{
		requests: of(50, 200), refused: of(1, 30), enrolments: of(50, 500),
		records: of(rate, max(burstSeconds*rate, ingest.DefaultBatchRecords)), // the least that is taken at once is a batch
	}
}
