package merkle_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
)

// queue is the queues of some tenants, with a log that takes its time.
type queue struct {
	waiting map[string]int           // records, by tenant
	logged  map[string]int           // likewise
	slow    time.Duration            // of one batch
	locked  func(tenant string) bool // by another replica
	order   []string                 // tenants, as their batches were taken
}

func newQueue(waiting map[string]int) *queue {
	return &queue{waiting: waiting, logged: map[string]int{}, slow: 100 * time.Millisecond, locked: func(string) bool { return false }}
}

func (q *queue) Tenants(context.Context, string, int) (all []store.Tenant, err error) {
	for name := range q.waiting {
		all = append(all, store.Tenant{Name: name})
	}
	return all, nil
}

func (q *queue) Waiting(_ context.Context, tenant string) (store.Waiting, error) {
	return store.Waiting{Records: int64(q.waiting[tenant]), Since: time.Unix(int64(q.waiting[tenant]), 0)}, nil
}

func (q *queue) Sequence(_ context.Context, tenant string, most int, _ store.Grow) (int, error) {
	if q.locked(tenant) {
		return 0, nil
	}
	n := min(most, q.waiting[tenant])
	if n > 0 {
		<-time.After(q.slow) // of synctest's clock
		q.order = append(q.order, tenant)
	}
	q.waiting[tenant], q.logged[tenant] = q.waiting[tenant]-n, q.logged[tenant]+n
	return n, nil
}

func (q *queue) LeafIndex(_ context.Context, tenant, _ string, seq int64) (int64, error) {
	if seq > int64(q.logged[tenant]) {
		return 0, store.ErrNotFound
	}
	return seq - 1, nil
}

// seen is what was measured.
type seen struct {
	logged, failures int
	queued           []int64
	oldest           time.Time
}

func (s *seen) Logged(n int) { s.logged += n }
func (s *seen) LogFailed()   { s.failures++ }
func (s *seen) LogQueue(n int64, oldest time.Time) {
	s.queued, s.oldest = append(s.queued, n), oldest
}

func newSequencer(q merkle.Queue) (*merkle.Sequencer, *seen) {
	_, signer := newLog()
	s := new(seen)
	return merkle.NewSequencer(q, signer, s, slog.New(slog.DiscardHandler)), s
}

// A record is waited for as long as is decent, and no longer: what was taken until
// then stays, so that who asks again gets further.
func TestAwait(t *testing.T) {
	await := func(t *testing.T, s *merkle.Sequencer, seq int64, want error, within time.Duration) {
		t.Helper()
		began := time.Now()
		if err := s.Await(t.Context(), "acme", "chain", seq); !errors.Is(err, want) || time.Since(began) > within {
			t.Errorf("record %d: %v after %s, want %v within %s", seq, err, time.Since(began), want, within)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(map[string]int{"acme": 1_000_000})
		s, _ := newSequencer(q)
		await(t, s, 3000, nil, time.Second)
		await(t, s, 3000, nil, 0)
		await(t, s, 1_000_000, merkle.ErrBehind, 11*time.Second)
		if q.logged["acme"] < 100_000 {
			t.Errorf("%d records were taken", q.logged["acme"])
		}
		await(t, s, 300_000, nil, 11*time.Second)
	})
	t.Run("another has the lock", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(map[string]int{"acme": 10})
			free := time.Now().Add(3 * time.Second)
			q.locked = func(string) bool { return time.Now().Before(free) }
			s, _ := newSequencer(q)
			await(t, s, 10, nil, 4*time.Second)
		})
	})
	t.Run("who asked has left", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(map[string]int{"acme": 0})
			s, _ := newSequencer(q)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := s.Await(ctx, "acme", "chain", 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	})
}

// A long queue does not keep the others waiting, and what waits is measured before
// and while it is taken.
func TestTenantsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(map[string]int{"large": 1_000_000, "small": 10})
		s, seen := newSequencer(q)
		ctx, stop := context.WithTimeout(t.Context(), 25*time.Second)
		defer stop()
		s.Run(ctx)
		if len(q.order) < 3 || q.order[0] != "small" && q.order[1] != "small" {
			t.Errorf("batches were taken of %.80q", q.order)
		}
		if n := q.logged["large"] + q.logged["small"]; seen.logged != n || n < 100_000 || seen.failures != 0 {
			t.Errorf("%d records were measured, %d taken, %d failures", seen.logged, n, seen.failures)
		}
		if len(seen.queued) != 3 || seen.queued[0] != 1_000_010 || seen.queued[1] >= seen.queued[0] || seen.queued[2] >= seen.queued[1] {
			t.Errorf("queues of %d were measured", seen.queued)
		}
		if want := time.Unix(seen.queued[2], 0); !seen.oldest.Equal(want) {
			t.Errorf("the oldest is of %s, want %s", seen.oldest, want)
		}
	})
}
