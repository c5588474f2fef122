package ingest

import (
	"context"
	"time"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/store"
)

// roomEvery is how long a sidecar waits for its tenant to have room again: an
// operator makes it, and that takes longer.
const roomEvery = time.Minute

// fits tells whether the tenant may keep lines beside what it keeps:
// *store.QuotaError where it may not.
func (c *chain) fits(ctx context.Context, lines [][]byte) error {
	stored, err := c.server.Store.Stored(ctx, c.who.Tenant)
	if err != nil {
		return err
	}
	var bytes int64
	for _, line := range lines {
		bytes += int64(len(line))
	}
	return stored.Check(bytes)
}

// refuseMore refuses what the tenant may not keep. The alarm is raised once, and
// not again for each time that the sidecar tries.
func (c *chain) refuseMore(ctx context.Context, over *store.QuotaError) (*api.ShipResponse, error) {
	if !c.overQuota {
		err := c.raise(ctx, store.AlarmQuota, c.known.Head.Seq+1, "records from here on wait at the sidecar: "+over.Error())
		if err != nil {
			return nil, c.server.unavailable(ctx, err)
		}
		c.overQuota = true
	}
	return c.refuseFor(ctx, roomEvery, api.Refusal_QUOTA, over), nil
}
