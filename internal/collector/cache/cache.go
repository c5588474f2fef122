// Package cache keeps receipts that were asked for by id at hand. A record never
// changes, so what was found once is right as long as the record is kept, which
// young ones are; what was not found may come, and is asked for again.
package cache

import (
	"context"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Shared is a cache that all replicas have. It is not trusted: what it holds
// cannot be read there, and what was written by anybody else is not taken.
type Shared interface {
	// Get is the value of an id, at most so many bytes of it; none where there is none.
	Get(ctx context.Context, id string, most int) []byte
	// Set keeps a value for an id, for a time at most.
	Set(ctx context.Context, id string, value []byte, life time.Duration)
}

// Observer is told of look-ups. A cache is "memory" or "redis".
type Observer interface {
	CacheHit(cache string)
	CacheMiss(cache string)
	// CacheRejected tells of a value that nobody with our secret has written for
	// this receipt.
	CacheRejected()
}

const (
	// memory bounds what this replica has in memory, in bytes.
	memory = 32 << 20
	// life bounds for how long a receipt is kept at hand.
	life = time.Hour
	// young is for how long after it came no retention lets a record go: the shortest
	// keeps the whole month before the current, and months have 28 days. A day less is
	// for clocks that differ.
	young = 27 * 24 * time.Hour
)

// Store is a store that has receipts at hand.
type Store struct {
	store.Store
	shared   Shared // nil: there is none
	secret   []byte
	now      func() time.Time
	observer Observer
	receipts *otter.Cache[key, entry]
}

// key has the tenant, so that nobody finds what is another's.
type key struct{ tenant, receiptID string }

type entry struct {
	record store.Record
	until  time.Time
}

// New returns a Store on another. The secret is the one of all replicas.
func New(of store.Store, shared Shared, secret []byte, now func() time.Time, observer Observer) *Store {
	return &Store{
		Store: of, shared: shared, secret: secret, now: now, observer: observer,
		receipts: otter.Must(&otter.Options[key, entry]{
			MaximumWeight: memory,
			Weigher:       func(_ key, e entry) uint32 { return weight(len(e.record.Line)) },
			Executor:      func(run func()) { run() }, // no goroutine that nobody stops
		}),
	}
}

// weight is what a receipt takes in memory, in bytes: the line, once more as the
// texts of its columns, and what is around them.
func weight(line int) uint32 { return uint32(2*line + 512) }

// idLength is a UUID's; what is no receipt's id is not looked for.
const idLength = 36

// Receipt implements store.Records. The line is shared: nobody may change it.
func (s *Store) Receipt(ctx context.Context, tenant, receiptID string) (store.Record, error) {
	if len(receiptID) != idLength {
		return s.Store.Receipt(ctx, tenant, receiptID)
	}
	k := key{tenant, receiptID}
	if e, ok := s.receipts.GetIfPresent(k); ok && s.now().Before(e.until) && s.stays(&e.record) {
		s.observer.CacheHit("memory")
		return e.record, nil
	}
	s.observer.CacheMiss("memory")
	record, found := s.fromShared(ctx, k)
	if !found {
		var err error
		if record, err = s.Store.Receipt(ctx, tenant, receiptID); err != nil {
			return store.Record{}, err
		}
		// A store finds ids in capital letters too; they are kept in one form.
		if record.ReceiptID != receiptID || !s.stays(&record) {
			return record, nil
		}
		s.toShared(ctx, k, &record)
	}
	s.receipts.Set(k, entry{record, s.now().Add(life)})
	return record, nil
}

// stays tells whether the store cannot have let go of a record that it had.
func (s *Store) stays(r *store.Record) bool { return s.now().Before(r.Received.Add(young)) }
