package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Watched is what a Watch looks at.
type Watched interface {
	store.Tenants
	SilentChains(ctx context.Context, tenant string, q store.SinceQuery) ([]store.Chain, error)
	GapChains(ctx context.Context, tenant string, q store.SinceQuery) ([]store.Chain, error)
	Raise(ctx context.Context, tenant string, a store.Alarm) (bool, error)
	Maintain(ctx context.Context, now time.Time) error
	SweepSessions(ctx context.Context, before time.Time) (int64, error)
}

const (
	// SilentAfter is how long a chain may be silent. A sidecar sends a heartbeat
	// every 30 seconds; three that are lost are no accident.
	SilentAfter = 2 * time.Minute
	// GapAfter is how long the sidecar has to send what it was asked for.
	GapAfter = time.Minute

	watchEvery    = 15 * time.Second
	maintainEvery = time.Hour
)

// Watch raises the alarms that no message brings: for chains that fall silent
// without a clean stop, and for gaps that stay. Replicas may run one each.
type Watch struct {
	store Watched
	log   *slog.Logger
	to    Observer
	seen  map[string]time.Time // by tenant: silence since before is known
}

// NewWatch returns a Watch, which works while Run does. The Observer may be nil.
func NewWatch(s Watched, log *slog.Logger, to Observer) *Watch {
	if to == nil {
		to = silent{}
	}
	return &Watch{store: s, log: log, to: to, seen: make(map[string]time.Time)}
}

// Run looks now and then, until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var maintained time.Time
	for {
		now := time.Now()
		if now.Sub(maintained) >= maintainEvery {
			maintained = now
			if err := w.maintain(ctx, now); err != nil && ctx.Err() == nil {
				w.log.WarnContext(ctx, "the store is not maintained", "error", err.Error())
			}
		}
		if err := w.Look(ctx, now); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "chains are not watched", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (w *Watch) maintain(ctx context.Context, now time.Time) error {
	_, err := w.store.SweepSessions(ctx, now.Add(-store.SessionIdle))
	return errors.Join(err, w.store.Maintain(ctx, now))
}

// Look raises what is to be raised at a time.
func (w *Watch) Look(ctx context.Context, now time.Time) error {
	return store.EachTenant(ctx, w.store, func(t store.Tenant) error { return w.look(ctx, t.Name, now) })
}

func (w *Watch) look(ctx context.Context, tenant string, now time.Time) error {
	to := now.Add(-SilentAfter)
	err := w.each(ctx, tenant, w.store.SilentChains, store.SinceQuery{From: w.seen[tenant], To: to}, func(c *store.Chain) (time.Time, store.Alarm) {
		return c.LastSign, store.Alarm{
			Kind: store.AlarmSilent, Seq: c.Head.Seq, Raised: now,
			Message: fmt.Sprintf("not heard of since %s, and it did not stop", c.LastSign.Format(time.RFC3339)),
		}
	})
	if err != nil {
		return err
	}
	w.seen[tenant] = to
	return w.each(ctx, tenant, w.store.GapChains, store.SinceQuery{To: now.Add(-GapAfter)}, func(c *store.Chain) (time.Time, store.Alarm) {
		return c.Gap, store.Alarm{
			Kind: store.AlarmGap, Seq: c.Head.Seq + 1, Raised: now,
			Message: fmt.Sprintf("records from seq %d on are missing since %s", c.Head.Seq+1, c.Gap.Format(time.RFC3339)),
		}
	})
}

// each raises an alarm for each chain that a query finds by a time, which alarm
// tells too.
func (w *Watch) each(ctx context.Context, tenant string, find func(context.Context, string, store.SinceQuery) ([]store.Chain, error),
	q store.SinceQuery, alarm func(*store.Chain) (time.Time, store.Alarm),
) error {
	const page = 500
	for q.Limit = page; ; {
		found, err := find(ctx, tenant, q)
		if err != nil {
			return err
		}
		for i := range found {
			var a store.Alarm
			q.From, a = alarm(&found[i])
			q.After, a.Chain = found[i].ID, found[i].ID
			if err := raise(ctx, w.store, w.log, w.to, tenant, a); err != nil {
				return err
			}
		}
		if len(found) < page {
			return nil
		}
	}
}

// raiser is where alarms are opened.
type raiser interface {
	Raise(ctx context.Context, tenant string, a store.Alarm) (bool, error)
}

// raise opens an alarm, and counts and logs it where it was not open before.
func raise(ctx context.Context, s raiser, log *slog.Logger, to Observer, tenant string, a store.Alarm) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	a.ID = id.String()
	raised, err := s.Raise(ctx, tenant, a)
	if raised {
		to.Alarm(string(a.Kind))
		log.ErrorContext(ctx, "alarm", "tenant", tenant, "chain", a.Chain, "kind", string(a.Kind), "seq", a.Seq, "why", a.Message)
	}
	return err
}
