package collector

import (
	"context"
	"time"

	"github.com/signet-egress/signet/internal/collector/cache"
	"github.com/signet-egress/signet/internal/collector/redis"
	"github.com/signet-egress/signet/internal/metrics"
)

// newRedis is what replicas share beside the store; nil where there is none.
func newRedis(ctx context.Context, o Options, measured *metrics.Collector) *redis.Client {
	if o.Redis == nil {
		return nil
	}
	return redis.New(ctx, o.Redis, sealOf(o.Key), o.Logger, measured)
}

// newCache is the store with receipts at hand, for those who ask for them by id.
func newCache(o Options, shared *redis.Client, measured *metrics.Collector) *cache.Store {
	var behind cache.Shared // a nil interface where there is no client
	if shared != nil {
		behind = shared
	}
	return cache.New(o.Store, behind, sealOf(o.Key), time.Now, measured)
}
