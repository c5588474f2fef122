package merkle

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Queue is what a Sequencer takes records from.
type Queue interface {
	store.Tenants
	Waiting(ctx context.Context, tenant string) (store.Waiting, error)
	Sequence(ctx context.Context, tenant string, most int, grow store.Grow) (int, error)
	LeafIndex(ctx context.Context, tenant, chain string, seq int64) (int64, error)
}

// Observer measures what becomes of the logs.
type Observer interface {
	// Logged tells of records that were taken into a log.
	Logged(records int)
	// LogFailed tells of a log that did not grow.
	LogFailed()
	// LogQueue tells what waits for the logs of all tenants: how many records, and
	// when the oldest was received.
	LogQueue(records int64, oldest time.Time)
}

const (
	// batch is the most leaves of one transaction: some ten tiles.
	batch = 2000
	// sweepEvery is how often every tenant's queue is looked at, for what another
	// replica has stored and died of.
	sweepEvery = 10 * time.Second
	// settle is how long a queue may fill before it is taken: one checkpoint covers
	// what came meanwhile.
	settle = 200 * time.Millisecond
	// patience is how long Await takes in what waits: at some ten thousand records a
	// second, more than a sidecar ships in a minute.
	patience = 10 * time.Second
	// busy is how long Await leaves the log to another who has its lock.
	busy = 50 * time.Millisecond
)

// ErrBehind says that a log has too much to take in before a record.
var ErrBehind = errors.New("the log is behind: too many records wait for it")

// Sequencer moves stored records into their tenants' logs. Several replicas may
// run one each: the log's row is locked.
type Sequencer struct {
	queue    Queue
	signer   *Signer
	observer Observer
	log      *slog.Logger

	mu    sync.Mutex
	ready map[string]bool // tenants with something to take
	wake  chan struct{}
}

// NewSequencer returns a Sequencer, which works while Run does.
func NewSequencer(q Queue, s *Signer, o Observer, log *slog.Logger) *Sequencer {
	return &Sequencer{queue: q, signer: s, observer: o, log: log, ready: make(map[string]bool), wake: make(chan struct{}, 1)}
}

// Appended says that a tenant's records were stored. It does not block.
func (s *Sequencer) Appended(tenant string) {
	s.note(tenant)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Sequencer) note(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready[tenant] = true
}

// Run takes what is queued until ctx ends.
func (s *Sequencer) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	s.sweep(ctx)
	for ctx.Err() == nil {
		if s.round(ctx) > 0 { // there may be more
			select {
			case <-ticker.C:
				s.sweep(ctx)
			default:
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
			s.sweep(ctx)
		case <-s.wake:
			wait(ctx, settle)
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// sweep looks at the queues of all tenants.
func (s *Sequencer) sweep(ctx context.Context) {
	var all store.Waiting
	var of string // tenant that is looked at
	err := store.EachTenant(ctx, s.queue, func(t store.Tenant) error {
		of = t.Name
		w, err := s.queue.Waiting(ctx, of)
		if err == nil && w.Records > 0 {
			s.note(of)
			all.Add(w)
		}
		return err
	})
	if err != nil {
		s.failed(ctx, of, err)
		return
	}
	s.observer.LogQueue(all.Records, all.Since)
}

// round takes a batch of each tenant that is known to have something, so that a
// long queue does not keep the others waiting. It returns how many records those
// were.
func (s *Sequencer) round(ctx context.Context) (taken int) {
	s.mu.Lock()
	ready := s.ready
	s.ready = make(map[string]bool)
	s.mu.Unlock()
	for tenant := range ready {
		n, err := s.Take(ctx, tenant)
		if err != nil {
			s.failed(ctx, tenant, err)
			continue
		}
		if taken += n; n > 0 {
			s.note(tenant)
		}
	}
	return taken
}

// Take moves a batch of what is queued of a tenant into its log. It returns how
// many records those were: 0 as well where another has the log's lock.
func (s *Sequencer) Take(ctx context.Context, tenant string) (int, error) {
	n, err := s.queue.Sequence(ctx, tenant, batch, s.signer.Grow(tenant, time.Now().UTC()))
	if n > 0 {
		s.observer.Logged(n)
	}
	return n, err
}

// Await has a record in its log when it returns nil: it takes what waits before
// the record, and the record. ErrBehind where that would take too long; what was
// taken stays.
func (s *Sequencer) Await(ctx context.Context, tenant, chain string, seq int64) error {
	for deadline := time.Now().Add(patience); ; {
		_, err := s.queue.LeafIndex(ctx, tenant, chain, seq)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return ErrBehind
		}
		n, err := s.Take(ctx, tenant)
		if err != nil {
			return err
		}
		if n == 0 {
			wait(ctx, busy)
		}
	}
}

func (s *Sequencer) failed(ctx context.Context, tenant string, err error) {
	if ctx.Err() == nil {
		s.observer.LogFailed()
		s.log.ErrorContext(ctx, "the log does not grow: records stay queued", "tenant", tenant, "error", err.Error())
	}
}
