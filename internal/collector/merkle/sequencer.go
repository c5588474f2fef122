package merkle

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Queue is what a Sequencer takes records from.
type Queue interface {
	Tenants(ctx context.Context, after string, limit int) ([]store.Tenant, error)
	Sequence(ctx context.Context, tenant string, most int, grow store.Grow) (int, error)
}

const (
	// batch is the most leaves of one transaction: some ten tiles.
	batch = 2000
	// sweep is how often every tenant's queue is looked at, for what another
	// replica has stored and died of.
	sweep = 10 * time.Second
	// settle is how long a queue may fill before it is taken: one checkpoint covers
	// what came meanwhile.
	settle = 200 * time.Millisecond
)

// Sequencer moves stored records into their tenants' logs. Several replicas may
// run one each: the log's row is locked.
type Sequencer struct {
	queue  Queue
	signer *Signer
	log    *slog.Logger

	mu    sync.Mutex
	ready map[string]bool // tenants with something to take
	wake  chan struct{}
}

// NewSequencer returns a Sequencer, which works while Run does.
func NewSequencer(q Queue, s *Signer, log *slog.Logger) *Sequencer {
	return &Sequencer{queue: q, signer: s, log: log, ready: make(map[string]bool), wake: make(chan struct{}, 1)}
}

// Appended says that a tenant's records were stored. It does not block.
func (s *Sequencer) Appended(tenant string) {
	s.mu.Lock()
	s.ready[tenant] = true
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run takes what is queued until ctx ends.
func (s *Sequencer) Run(ctx context.Context) {
	ticker := time.NewTicker(sweep)
	defer ticker.Stop()
	s.noteAll(ctx)
	for {
		s.drain(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.noteAll(ctx)
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

func (s *Sequencer) noteAll(ctx context.Context) {
	const page = 1000
	for after := ""; ; {
		tenants, err := s.queue.Tenants(ctx, after, page)
		if err != nil {
			s.failed(ctx, "", err)
			return
		}
		s.mu.Lock()
		for i := range tenants {
			s.ready[tenants[i].Name] = true
		}
		s.mu.Unlock()
		if len(tenants) < page {
			return
		}
		after = tenants[page-1].Name
	}
}

// drain empties the queues of all tenants that are known to have something.
func (s *Sequencer) drain(ctx context.Context) {
	s.mu.Lock()
	ready := s.ready
	s.ready = make(map[string]bool)
	s.mu.Unlock()
	for tenant := range ready {
		if _, err := s.Take(ctx, tenant); err != nil {
			s.failed(ctx, tenant, err)
		}
	}
}

// Take moves all that is queued of a tenant into its log.
func (s *Sequencer) Take(ctx context.Context, tenant string) (taken int, err error) {
	for {
		n, err := s.queue.Sequence(ctx, tenant, batch, s.signer.Grow(tenant, time.Now().UTC()))
		taken += n
		if err != nil || n == 0 {
			return taken, err
		}
	}
}

func (s *Sequencer) failed(ctx context.Context, tenant string, err error) {
	if ctx.Err() == nil {
		s.log.ErrorContext(ctx, "the log does not grow: records stay queued", "tenant", tenant, "error", err.Error())
	}
}
