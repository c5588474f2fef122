package ingest

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// budgets hold each tenant to a number of records a second, in this replica. Only
// tenants with a certificate of the collector's have one, so that nobody else can
// make the table grow.
type budgets struct {
	perSecond rate.Limit
	burst     int

	mu       sync.Mutex
	byTenant map[string]*rate.Limiter
}

// burstSeconds is how much of its budget a tenant may use at once: a sidecar that
// was offline comes back with days of records.
const burstSeconds = 10

func newBudgets(l Limits) *budgets {
	return &budgets{
		perSecond: rate.Limit(l.TenantRecords), burst: max(burstSeconds*l.TenantRecords, l.BatchRecords), byTenant: make(map[string]*rate.Limiter),
	}
}

// take takes n records from a tenant's budget, or says how long to wait.
func (b *budgets) take(tenant string, n int, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	limiter := b.byTenant[tenant]
	if limiter == nil {
		limiter = rate.NewLimiter(b.perSecond, b.burst)
		b.byTenant[tenant] = limiter
	}
	reservation := limiter.ReserveN(now, n)
	if wait = reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
	}
	return wait
}
