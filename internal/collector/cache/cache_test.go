package cache_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/collector/cache"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/sqlite"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shared is a cache beside the collector, by id.
type shared map[string][]byte

func (s shared) Get(_ context.Context, id string, most int) []byte {
	return s[id][:min(len(s[id]), most)]
}

func (s shared) Set(_ context.Context, id string, value []byte, _ time.Duration) {
	s[id] = value
}

// told is what an observer was told of.
type told []string

func (t *told) CacheHit(of string)  { *t = append(*t, "hit "+of) }
func (t *told) CacheMiss(of string) { *t = append(*t, "miss "+of) }
func (t *told) CacheRejected()      { *t = append(*t, "rejected") }

func (t *told) want(test *testing.T, want ...string) {
	test.Helper()
	if !slices.Equal(*t, want) {
		test.Errorf("told of %q, want %q", *t, want)
	}
	*t = nil
}

func open(t *testing.T) store.Store {
	t.Helper()
	kept, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "collector.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	return kept
}

// fill is a store in which both tenants have receipts.
func fill(t *testing.T) (kept store.Store, acme, beta *chains.Chain) {
	t.Helper()
	kept = open(t)
	acme, beta = chains.New("acme", "billing-agent", time.Now()), chains.New("beta", "billing-agent", time.Now())
	for _, c := range []*chains.Chain{acme, beta} {
		c.Exchanges(3)
		err := errors.Join(
			kept.CreateTenant(t.Context(), store.Tenant{Name: c.Tenant, Created: time.Now()}),
			kept.RegisterChain(t.Context(), c.Tenant, store.Registration{ID: c.ID, Agent: c.Agent, PublicKey: c.Public(), At: time.Now()}))
		if err != nil {
			t.Fatal(err)
		}
		add(t, kept, c, c.Lines...)
	}
	return kept, acme, beta
}

func add(t *testing.T, kept store.Store, c *chains.Chain, lines ...[]byte) {
	t.Helper()
	known, err := kept.Chain(t.Context(), c.Tenant, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	b := store.Batch{Chain: c.ID, After: known.Head, Received: time.Now()}
	for _, line := range lines {
		r, err := receipts.Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		b.Records = append(b.Records, store.NewRecord(r, line, b.Received))
	}
	if _, err := kept.Append(t.Context(), c.Tenant, &b); err != nil {
		t.Fatal(err)
	}
}

var secret = []byte("secret of all replicas")

// A receipt is the store's, wherever it comes from.
func TestReceipt(t *testing.T) {
	kept, acme, _ := fill(t)
	id := acme.ReceiptAt(2).ReceiptID
	want, err := kept.Receipt(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	var seen told
	redis := make(shared)
	now := time.Now()
	clock := func() time.Time { return now }
	here, there := cache.New(kept, redis, secret, clock, &seen), cache.New(kept, redis, secret, clock, &seen)
	ask := func(from *cache.Store, id string) {
		t.Helper()
		if got, err := from.Receipt(t.Context(), "acme", id); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	ask(here, id)
	seen.want(t, "miss memory", "miss redis")
	ask(here, id)
	seen.want(t, "hit memory")
	ask(there, id)
	seen.want(t, "miss memory", "hit redis")
	ask(there, id)
	seen.want(t, "hit memory")
	now = now.Add(2 * time.Hour)
	ask(there, id)
	seen.want(t, "miss memory", "hit redis")

	capitals := cache.New(ignoringCase{kept}, redis, secret, clock, &seen)
	for range 2 {
		ask(capitals, strings.ToUpper(id))
		seen.want(t, "miss memory", "miss redis")
	}
	alone := cache.New(kept, nil, secret, clock, &seen)
	ask(alone, id)
	ask(alone, id)
	seen.want(t, "miss memory", "hit memory")
}

// ignoringCase finds ids in capitals too, as PostgreSQL does.
type ignoringCase struct{ store.Store }

func (s ignoringCase) Receipt(ctx context.Context, tenant, id string) (store.Record, error) {
	return s.Store.Receipt(ctx, tenant, strings.ToLower(id))
}

// What was not found is looked for again.
func TestNotFound(t *testing.T) {
	kept, acme, _ := fill(t)
	var seen told
	s := cache.New(kept, make(shared), secret, time.Now, &seen)
	before := len(acme.Lines)
	acme.Exchanges(1)
	id := acme.ReceiptAt(before + 1).ReceiptID
	for _, id := range []string{id, "", "x", strings.Repeat("x", 36), strings.Repeat("x", 1<<16)} {
		if _, err := s.Receipt(t.Context(), "acme", id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%.40q: %v", id, err)
		}
	}
	add(t, kept, acme, acme.Lines[before:]...)
	if _, err := s.Receipt(t.Context(), "acme", id); err != nil {
		t.Error(err)
	}
}

// A tenant's receipts are answered to nobody else, cached or not.
func TestTenants(t *testing.T) {
	kept, acme, beta := fill(t)
	var seen told
	redis := make(shared)
	s := cache.New(kept, redis, secret, time.Now, &seen)
	id := acme.ReceiptAt(2).ReceiptID
	if _, err := s.Receipt(t.Context(), "acme", id); err != nil {
		t.Fatal(err)
	}
	seen.want(t, "miss memory", "miss redis")
	if _, err := s.Receipt(t.Context(), beta.Tenant, id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another tenant's receipt: %v", err)
	}
	// Nor where whoever writes to Redis puts it under the other tenant's name.
	redis["beta\x00"+id] = redis["acme\x00"+id]
	seen = nil
	if _, err := s.Receipt(t.Context(), beta.Tenant, id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another tenant's receipt out of Redis: %v", err)
	}
	seen.want(t, "miss memory", "rejected")
}

// Whatever stands in Redis, what is answered is what the store has.
func TestPoison(t *testing.T) {
	kept, acme, _ := fill(t)
	var seen told
	redis := make(shared)
	id, other := acme.ReceiptAt(2).ReceiptID, acme.ReceiptAt(3).ReceiptID
	name := "acme\x00" + id
	for _, id := range []string{id, other} {
		if _, err := cache.New(kept, redis, secret, time.Now, &seen).Receipt(t.Context(), "acme", id); err != nil {
			t.Fatal(err)
		}
	}
	good := redis[name]
	if bytes.Contains(good, acme.Lines[1][:40]) {
		t.Error("the receipt can be read")
	}
	theirs := make(shared)
	if _, err := cache.New(kept, theirs, []byte("another secret"), time.Now, &seen).Receipt(t.Context(), "acme", id); err != nil {
		t.Fatal(err)
	}
	poison := [][]byte{[]byte("x"), acme.Lines[1], redis["acme\x00"+other], theirs[name], good[:len(good)-1], append(slices.Clone(good), 0), make([]byte, 4<<20)}
	for i := 0; i < len(good); i += 16 {
		flipped := slices.Clone(good)
		flipped[i] ^= 1
		poison = append(poison, flipped)
	}
	for i, value := range poison {
		redis[name] = value
		seen = nil
		got, err := cache.New(kept, redis, secret, time.Now, &seen).Receipt(t.Context(), "acme", id)
		if err != nil || !bytes.Equal(got.Line, acme.Lines[1]) {
			t.Errorf("poison %d: got %s, %v", i, got.Line, err)
		}
		seen.want(t, "miss memory", "rejected")
		if got, err := cache.New(kept, redis, secret, time.Now, &seen).Receipt(t.Context(), "acme", id); err != nil || !bytes.Equal(got.Line, acme.Lines[1]) {
			t.Errorf("after poison %d: got %s, %v", i, got.Line, err)
		}
		seen.want(t, "miss memory", "hit redis") // the poison is gone
	}
}

// A receipt that a retention may let go is the store's alone to give, whichever cache
// had it when it was younger.
func TestOldReceipts(t *testing.T) {
	kept, acme, _ := fill(t)
	id := acme.ReceiptAt(2).ReceiptID
	var seen told
	now, redis := time.Now(), make(shared)
	clock := func() time.Time { return now }
	here, there := cache.New(kept, redis, secret, clock, &seen), cache.New(kept, redis, secret, clock, &seen)
	ask := func(from *cache.Store) {
		t.Helper()
		if _, err := from.Receipt(t.Context(), "acme", id); err != nil {
			t.Error(err)
		}
	}
	begin := now
	now = begin.Add(27*24*time.Hour - time.Minute)
	ask(here)
	seen.want(t, "miss memory", "miss redis")
	ask(here)
	seen.want(t, "hit memory")
	now = begin.Add(27 * 24 * time.Hour)
	for range 2 {
		ask(here)
		ask(there)
	}
	const miss, beside = "miss memory", "miss redis"
	seen.want(t, miss, beside, miss, beside, miss, beside, miss, beside)

	// The month that follows on the day may be the first without it.
	for day := range 366 {
		at := time.Date(2028, 1, 1+day, 0, 0, 0, 0, time.UTC)
		if gone := store.Cutoff(at, 1); at.Sub(gone) < 28*24*time.Hour {
			t.Errorf("on %s what came on %s may be gone", at, gone)
		}
	}
}
