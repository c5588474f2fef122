package relation

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// A tenant's chains share what it keeps and its roll-ups, so that their commits
// follow each other. Batches that come while others are being committed are
// therefore committed together, in one transaction: many sidecars with few records
// each cost little more than one with as many.
const (
	// groupRecords is how many records are committed together; a batch may have more.
	groupRecords = 1000
	// groupsAtOnce is how many transactions one tenant has: while one is written to
	// disk, the next one's records are inserted.
	groupsAtOnce = 2
	// groupWithin bounds a transaction, which a database that is not reached any more
	// would hold open.
	groupWithin = time.Minute
)

// appends are the batches that are on their way into the store.
type appends struct {
	mu sync.Mutex
	of map[string]*queue // by tenant; as many as there are
}

// queue is what one tenant's streams wait in.
type queue struct {
	turns chan struct{} // has room for who may commit now

	mu      sync.Mutex
	waiting []*appending
}

// appending is a batch, and what became of it once done is closed.
type appending struct {
	batch *store.Batch
	done  chan struct{}
	after store.Chain
	err   error
	// alone says that the group was not committed, for whoever's fault: each of its
	// batches is to be tried by itself.
	alone bool
}

func (a *appends) queue(tenant string) *queue {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.of[tenant]
	if q == nil {
		q = &queue{turns: make(chan struct{}, groupsAtOnce)}
		if a.of == nil {
			a.of = make(map[string]*queue)
		}
		a.of[tenant] = q
	}
	return q
}

func (q *queue) join(a *appending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, a)
}

// leave takes a batch out, if it is still waiting.
func (q *queue) leave(a *appending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, a)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

// take takes a batch out, if it is still waiting, with others that go into one
// transaction with it: one a chain, in the order in which chains are locked.
func (q *queue) take(first *appending) []*appending {
	if !q.leave(first) {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	group, records := []*appending{first}, len(first.batch.Records)
	q.waiting = slices.DeleteFunc(q.waiting, func(a *appending) bool {
		of := func(other *appending) bool { return other.batch.Chain == a.batch.Chain }
		if records+len(a.batch.Records) > groupRecords || slices.ContainsFunc(group, of) {
			return false
		}
		group, records = append(group, a), records+len(a.batch.Records)
		return true
	})
	slices.SortFunc(group, func(a, b *appending) int { return strings.Compare(a.batch.Chain, b.batch.Chain) })
	return group
}

// Append implements store.Chains.
func (s *Store) Append(ctx context.Context, tenant string, b *store.Batch) (store.Chain, error) {
	q := s.appends.queue(tenant)
	a := &appending{batch: b, done: make(chan struct{})}
	q.join(a)
	var err error
	select {
	case <-a.done: // another has taken it along
	case q.turns <- struct{}{}:
		err = s.commit(ctx, tenant, q, a)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil && q.leave(a) {
		return store.Chain{}, wrapped("write", "records of chain "+b.Chain, err)
	}
	<-a.done
	if a.alone {
		a.err = nil
		err := s.Do(ctx, tenant, Write, func(tx Tx) error { return s.append(ctx, tx, tenant, []*appending{a}) })
		a.err = cmp.Or(err, a.err)
	}
	return a.after, wrapped("write", "records of chain "+b.Chain, a.err)
}

// commit has a turn of a queue's. It commits a batch that may still wait, together
// with others that do. They do not lose their transaction when whoever began it leaves.
func (s *Store) commit(ctx context.Context, tenant string, q *queue, a *appending) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), groupWithin)
	defer cancel()
	var group []*appending
	committed := false
	defer func() {
		<-q.turns
		for _, a := range group {
			a.alone = !committed
			close(a.done)
		}
	}()
	err = s.Do(ctx, tenant, Write, func(tx Tx) error {
		group = q.take(a)
		return s.append(ctx, tx, tenant, group)
	})
	committed = err == nil
	return err
}
