package collector

import (
	"cmp"
	"context"
	"time"

	"github.com/signet-egress/signet/internal/collector/budget"
	"github.com/signet-egress/signet/internal/collector/ingest"
	"github.com/signet-egress/signet/internal/collector/redis"
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
	lines      limiter // seconds between lines of this replica's log about refusals of a chain for the same reason
	beats      limiter // heartbeats of each chain: thirty times what a sidecar sends, since each is written down
}

// limiter holds each of those who ask to a number of things a second.
type limiter interface {
	Take(ctx context.Context, who string, n int) (wait time.Duration)
}

// newBudgets returns budgets that all replicas share where there is a Redis, nil
// for none, and that are this replica's own where not.
func newBudgets(o Options, shared *redis.Client) budgets {
	of := func(kind string, perSecond, burst int) limiter {
		own := budget.NewLocal(budget.Limit{PerSecond: perSecond, Burst: burst}, time.Now)
		if shared == nil {
			return own
		}
		return shared.Budget(kind, own)
	}
	rate := cmp.Or(o.TenantRate, defaultTenantRate)
	return budgets{
		requests: of("requests", 50, 200), refused: of("refused", 1, 30), enrolments: of("enrolments", 50, 500),
		records: of("records", rate, max(burstSeconds*rate, ingest.DefaultBatchRecords)), // the least that is taken at once is a batch
		beats:   of("beats", 1, 10),
		lines:   budget.NewLocal(budget.Limit{PerSecond: 1, Burst: ingest.LineEvery}, time.Now),
	}
}
