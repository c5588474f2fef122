package witness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts/logproof"
)

// Store is what a Feeder keeps what it hears in.
type Store interface {
	store.Tenants
	AddCosignature(ctx context.Context, tenant string, c store.Cosignature) error
	Raise(ctx context.Context, tenant string, a store.Alarm) (bool, error)
	Clear(ctx context.Context, tenant, chain string, kind store.AlarmKind, at time.Time) error
}

// Observer measures what becomes of checkpoints.
type Observer interface {
	// Witnessed tells what a witness made of a checkpoint: cosigned, inconsistent,
	// refused or unanswered.
	Witnessed(witness, outcome string)
	// Unwitnessed tells how long the log waits for a witness that waits the longest; 0:
	// none does.
	Unwitnessed(witness string, waits time.Duration)
	// Alarm tells of an alarm that was not open before.
	Alarm(kind string)
}

const (
	// again is how often a witness is asked about a log that did not grow, so that the
	// time of its cosignature shows a log that rests from one that is withheld.
	again = 24 * time.Hour
	// atOnce is how many tenants' checkpoints are under way.
	atOnce = 8
	// attempts are made with a witness that others ask about the log too.
	attempts = 3
	// skew is how far a witness's clock may be from ours.
	skew = 5 * time.Minute
)

// Feeder sends the newest checkpoint of each tenant's log to all witnesses, again
// and again. Several replicas may run one each: a witness takes what is newer from
// any of them, and what one has just had cosigned the others pass over.
type Feeder struct {
	store    Store
	prover   merkle.Prover
	members  []*member
	interval time.Duration
	observer Observer
	log      *slog.Logger
	now      func() time.Time
}

// NewFeeder returns a Feeder, which works while Run does. The clients are its own.
func NewFeeder(s Store, p merkle.Prover, clients []*Client, interval time.Duration, o Observer, log *slog.Logger) *Feeder {
	f := &Feeder{store: s, prover: p, interval: interval, observer: o, log: log, now: time.Now}
	for _, c := range clients {
		f.members = append(f.members, newMember(c))
	}
	return f
}

// Run feeds until ctx ends, with an interval between, a tenth of which is chance, so
// that replicas and collectors do not ask in step.
func (f *Feeder) Run(ctx context.Context) {
	defer func() {
		for _, m := range f.members {
			m.client.Close()
		}
	}()
	for len(f.members) > 0 {
		if err := f.Round(ctx); err != nil && ctx.Err() == nil {
			f.log.WarnContext(ctx, "checkpoints are not sent to witnesses", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(f.interval - f.interval/20 + rand.N(f.interval/10+1)): //nolint:gosec // no secret
		}
	}
}

// Round has each log that grew witnessed once. A witness that does not answer costs
// the round its time limit, once.
func (f *Feeder) Round(ctx context.Context) error {
	for _, m := range f.members {
		m.begin(f.now())
	}
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	err := store.EachTenant(working, f.store, func(t store.Tenant) error {
		group.Go(func() error { return f.feed(working, t.Name) })
		return nil
	})
	err = cmp.Or(group.Wait(), err)
	for _, m := range f.members {
		f.observer.Unwitnessed(m.client.Name(), m.longest(f.now()))
	}
	return err
}

// feed has a tenant's newest checkpoint witnessed: the same by all witnesses, so
// that it has the lines of all.
func (f *Feeder) feed(ctx context.Context, tenant string) error {
	all, err := f.prover.Checkpoints(ctx, tenant)
	if err != nil || len(all) == 0 {
		return err
	}
	newest, group := &all[0], new(errgroup.Group)
	due := 0
	var cosigned atomic.Int32
	for _, m := range f.members {
		last := merkle.Newest(all, m.key())
		if !f.due(newest, last) {
			m.done(tenant)
			continue
		}
		if due++; m.wait(tenant, f.now()) {
			group.Go(func() error {
				ok, err := f.submit(ctx, tenant, m, newest, last)
				if ok {
					cosigned.Add(1)
				}
				return err
			})
		}
	}
	if err := group.Wait(); err != nil || due == 0 || int(cosigned.Load()) < due {
		return err
	}
	return f.store.Clear(ctx, tenant, "", store.AlarmWitness, f.now()) // all agree
}

// due tells whether a witness that has cosigned last is to be asked.
func (f *Feeder) due(newest *merkle.Checkpoint, last *store.Cosignature) bool {
	switch {
	case last == nil:
		return true
	case last.Size == newest.N:
		return f.now().Sub(last.At) >= again
	}
	return f.now().Sub(last.At).Abs() >= f.interval/2 // else another replica was here
}

// submit asks one witness, and tells whether it has cosigned, which is kept then. The
// error is the store's.
func (f *Feeder) submit(ctx context.Context, tenant string, m *member, newest *merkle.Checkpoint, last *store.Cosignature) (cosigned bool, err error) {
	old := int64(0)
	if last != nil {
		old = last.Size
	}
	c, err := f.ask(ctx, tenant, m.client, newest, old)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if _, unanswered := errors.AsType[*UnansweredError](err); unanswered {
		f.observer.Witnessed(m.client.Name(), "unanswered")
		if m.failed(f.now(), f.interval) {
			f.log.WarnContext(ctx, "a witness does not answer", "witness", m.client.Name(), "tenant", tenant, "error", err.Error())
		}
		return false, nil
	}
	if m.answered() {
		f.log.InfoContext(ctx, "a witness answers again", "witness", m.client.Name())
	}
	switch {
	case err == nil:
		return true, f.keep(ctx, tenant, m, newest, c)
	case errors.Is(err, errOvertaken):
		return false, nil
	case errors.Is(err, ErrInconsistent):
		f.observer.Witnessed(m.client.Name(), "inconsistent")
		return false, f.raise(ctx, tenant, fmt.Sprintf("the witness %s does not cosign the log at %d records: %v. "+
			"Either the collector's database was put back to an older state, or there is another log under its key", m.client.Name(), newest.N, err))
	}
	f.observer.Witnessed(m.client.Name(), "refused")
	if m.refused(tenant) {
		f.log.WarnContext(ctx, "a witness does not cosign a log", "witness", m.client.Name(), "tenant", tenant, "error", err.Error())
	}
	return false, nil
}

func (f *Feeder) keep(ctx context.Context, tenant string, m *member, newest *merkle.Checkpoint, c logproof.Cosignature) error {
	f.observer.Witnessed(m.client.Name(), "cosigned")
	if err := f.store.AddCosignature(ctx, tenant, store.Cosignature{
		Size: newest.N, Witness: m.key(), Checkpoint: newest.Signed, Line: c.Line, At: c.Time,
	}); err != nil {
		return err
	}
	m.done(tenant)
	return nil
}

// errOvertaken says that another replica is further with the log.
var errOvertaken = errors.New("another replica has had a newer checkpoint cosigned")

// ask goes on from what the witness has, which may not be what is known here.
func (f *Feeder) ask(ctx context.Context, tenant string, c *Client, newest *merkle.Checkpoint, old int64) (logproof.Cosignature, error) {
	for range attempts {
		found, err := f.add(ctx, tenant, c, newest, old)
		moved, ok := errors.AsType[*SizeError](err)
		switch {
		case err == nil && found.Time.Sub(f.now()).Abs() > skew:
			return found, fmt.Errorf("its cosignature is of %s, and it is %s here", found.Time.Format(time.RFC3339), f.now().UTC().Format(time.RFC3339))
		case !ok:
			return found, err
		case moved.Size > newest.N:
			return found, f.ahead(ctx, tenant, moved.Size)
		case moved.Size == old:
			return found, fmt.Errorf("it is asked to go on from %d records, and answers that it must be from %d", old, moved.Size)
		}
		old = moved.Size
	}
	return logproof.Cosignature{}, errors.New("the size that it has cosigned changes each time that it is asked")
}

func (f *Feeder) add(ctx context.Context, tenant string, c *Client, newest *merkle.Checkpoint, old int64) (logproof.Cosignature, error) {
	if old == 0 || old == newest.N {
		return c.Add(ctx, old, nil, newest.Signed)
	}
	proof, err := f.prover.Extends(ctx, tenant, old, newest.Tree)
	if err != nil {
		return logproof.Cosignature{}, err
	}
	return c.Add(ctx, old, proof, newest.Signed)
}

// ahead is what it means that a witness has cosigned more than there was here just
// now.
func (f *Feeder) ahead(ctx context.Context, tenant string, size int64) error {
	all, err := f.prover.Checkpoints(ctx, tenant)
	if err != nil {
		return err
	}
	if len(all) > 0 && all[0].N >= size {
		return errOvertaken
	}
	return fmt.Errorf("%w: that had %d records", ErrInconsistent, size)
}

// raise opens the alarm of a tenant's log, which ends when all witnesses cosign it.
func (f *Feeder) raise(ctx context.Context, tenant, why string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	raised, err := f.store.Raise(ctx, tenant, store.Alarm{ID: id.String(), Kind: store.AlarmWitness, Message: why, Raised: f.now()})
	if raised {
		f.observer.Alarm(string(store.AlarmWitness))
		f.log.ErrorContext(ctx, "alarm", "tenant", tenant, "kind", string(store.AlarmWitness), "why", why)
	}
	return err
}
