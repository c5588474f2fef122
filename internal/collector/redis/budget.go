package redis

import (
	"context"
	"time"

	"github.com/go-redis/redis_rate/v10"

	"github.com/signet-egress/signet/internal/collector/budget"
)

// Budget is a budget for each of those who ask, of all replicas together.
type Budget struct {
	client *Client
	kind   string
	limit  redis_rate.Limit
	own    *budget.Local
}

// Budget returns the one of this kind. It holds what own does, which is taken from
// where Redis does not answer.
func (c *Client) Budget(kind string, own *budget.Local) *Budget {
	l := own.Limit()
	return &Budget{client: c, kind: kind, own: own, limit: redis_rate.Limit{Rate: l.PerSecond, Burst: l.Burst, Period: time.Second}}
}

// Take takes n from the budget of who asks. Where there is less left it takes
// nothing, and says after how long there will be as much. What is kept of it in
// Redis ends when the budget would be full again.
func (b *Budget) Take(ctx context.Context, who string, n int) (wait time.Duration) {
	var result *redis_rate.Result
	err := b.client.ask(ctx, "take", func(ctx context.Context) (err error) {
		result, err = b.client.limiter.AllowN(ctx, b.client.name(b.kind, who), b.limit, n)
		return err
	})
	switch {
	case err != nil:
		return b.own.Take(ctx, who, n)
	case result.Allowed >= n:
		return 0
	}
	// Whatever Redis says, a whole budget is there after this.
	full := time.Duration(b.limit.Burst) * time.Second / time.Duration(b.limit.Rate)
	return min(max(result.RetryAfter, time.Millisecond), max(full, time.Millisecond))
}
