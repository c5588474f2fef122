// Package retention removes the records that were kept for as long as their tenants
// want. Which those are, and what stays of them, store.Pruning says.
package retention

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Store is what is needed of one.
type Store interface {
	store.Tenants
	Retention(ctx context.Context, tenant string) (store.Retention, error)
	OldChains(ctx context.Context, tenant string, q store.SinceQuery) ([]store.Chain, error)
	Prune(ctx context.Context, tenant string, p store.Prune) (store.Pruned, error)
	Reclaim(ctx context.Context, before time.Time) error
}

const (
	// page is how many chains are looked up at once.
	page = 500
	// every is how often a serving collector looks: a month's records go within an hour
	// of its end.
	every = time.Hour
)

// Pruner removes records. It may be stopped at any time, and several may work at once:
// each batch is a transaction of its own, and the next one goes on from there.
type Pruner struct {
	Store    Store
	Now      func() time.Time
	Batch    int              // records of one transaction; 0: the store's own, for which their chain takes no new ones for some tens of milliseconds
	Rehearse bool             // remove nothing, and say what would go
	Progress func(more int64) // is told of records as they go; nil: nobody is
}

// Sum is what was removed of a tenant's records, or would be.
type Sum struct {
	Tenant  string
	Months  int       // that they are kept for; 0: for ever, so that none goes
	Before  time.Time // those go that were made and received before it
	Chains  int64     // that lost some
	Records int64
	Bytes   int64 // of their lines
}

// All removes what is to go of every tenant, and gives the space of months back that
// are empty then. It calls each with what that was of each tenant that has a retention,
// be it all or, on an error, what went before that.
func (p *Pruner) All(ctx context.Context, each func(Sum) error) error {
	var newest time.Time
	err := store.EachTenant(ctx, p.Store, func(t store.Tenant) error {
		sum, err := p.Tenant(ctx, t.Name)
		if sum.Before.After(newest) {
			newest = sum.Before
		}
		if sum.Months > 0 {
			err = errors.Join(err, each(sum))
		}
		return err
	})
	if err != nil || p.Rehearse || newest.IsZero() {
		return err
	}
	return p.Store.Reclaim(ctx, newest)
}

// Tenant removes what is to go of one tenant: store.ErrNotFound where there is none of
// this name. On an error, what the sum says is gone all the same.
func (p *Pruner) Tenant(ctx context.Context, name string) (Sum, error) {
	sum := Sum{Tenant: name}
	kept, err := p.Store.Retention(ctx, name)
	if err != nil || kept.Months == 0 {
		return sum, err
	}
	now := p.Now()
	sum.Months, sum.Before = kept.Months, store.Cutoff(now, kept.Months)
	for q := (store.SinceQuery{To: sum.Before, Limit: page}); ; {
		chains, err := p.Store.OldChains(ctx, name, q)
		if err != nil {
			return sum, err
		}
		for i := range chains {
			if err := p.chain(ctx, &sum, chains[i].ID, now); err != nil {
				return sum, err
			}
		}
		if len(chains) < page {
			return sum, nil
		}
		last := &chains[page-1]
		q.From, q.After = last.FirstTS, last.ID
	}
}

// chain removes what is to go of a chain, and adds it to a sum.
func (p *Pruner) chain(ctx context.Context, sum *Sum, id string, now time.Time) error {
	request := store.Prune{Chain: id, Before: sum.Before, Months: sum.Months, At: now, Limit: p.Batch, Rehearse: p.Rehearse}
	for first := true; ; first = false {
		gone, err := p.Store.Prune(ctx, sum.Tenant, request)
		if err != nil {
			return err
		}
		if first && gone.Records > 0 {
			sum.Chains++
		}
		sum.Records, sum.Bytes, request.After = sum.Records+gone.Records, sum.Bytes+gone.Bytes, gone.Last
		if p.Progress != nil {
			p.Progress(gone.Records)
		}
		if !gone.More {
			return nil
		}
	}
}

// Run removes what is to go now and then, until ctx ends. Where it may not, since it
// works as another user than the owner of the tables, it says so once.
func (p *Pruner) Run(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for said := false; ; {
		err := p.All(ctx, func(sum Sum) error {
			if sum.Records > 0 {
				log.InfoContext(ctx, "removed records that were kept for long enough", "tenant", sum.Tenant, "before", sum.Before,
					"months", sum.Months, "chains", sum.Chains, "records", sum.Records, "bytes", sum.Bytes)
			}
			return nil
		})
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, store.ErrNotOwner):
			if !said {
				log.InfoContext(ctx, "records that were kept for long enough stay, until the owner of the tables removes them: signet-collector prune")
			}
			said = true
		default:
			log.WarnContext(ctx, "records that were kept for long enough are not removed", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
