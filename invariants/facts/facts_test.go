package facts

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/durable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is set by a test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)} }

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func invoice(n int) Key {
	return Key{Tenant: "acme", Scope: "agent", Owner: "billing", Name: "invoice", Key: fmt.Sprint(n)}
}

// fact is one of the receipt with the key's name, and lives an hour.
func fact(s *Store, k Key, text string) Fact {
	return Fact{JSON: []byte(text), ReceiptID: "r-" + k.Key, Expires: s.o.Now().Add(time.Hour)}
}

func mustRemember(t testing.TB, s *Store, k Key, text string) {
	t.Helper()
	if err := s.Remember(t.Context(), k, fact(s, k, text)); err != nil {
		t.Fatal(err)
	}
}

// wantFact wants a value, or none if text is empty.
func wantFact(t testing.TB, s *Store, k Key, text string) {
	t.Helper()
	f, err := s.Lookup(t.Context(), k)
	switch {
	case err != nil:
		t.Errorf("%+v: %v", k, err)
	case (f == nil) != (text == ""), f != nil && (string(f.JSON) != text || f.ReceiptID != "r-"+k.Key):
		t.Errorf("%+v is %+v, want %s", k, f, text)
	}
}

func TestRemember(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := mustOpen(t, Options{Dir: dir})
	const text = `{"amount":9007199254740993.10,"none":null,"text":"ü"}`
	mustRemember(t, s, invoice(1), text)
	wantFact(t, s, invoice(1), text)
	wantFact(t, s, invoice(2), "")
	mustRemember(t, s, invoice(1), `{"amount":2}`)
	wantFact(t, s, invoice(1), `{"amount":2}`)
	if size := s.Size(); size.Facts != 1 {
		t.Errorf("size %+v, want one fact", size)
	}
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("facts.db: mode %v, %v", info.Mode(), err)
	}
}

// TestKeysAreApart: no two keys share a fact, not even because of where one part
// ends.
func TestKeysAreApart(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir()})
	keys := []Key{
		{Tenant: "t", Scope: "trace", Name: "ab", Owner: "c", Key: "d"},
		{Tenant: "u", Scope: "trace", Name: "ab", Owner: "c", Key: "d"},
		{Tenant: "t", Scope: "agent", Name: "ab", Owner: "c", Key: "d"},
		{Tenant: "t", Scope: "trace", Name: "a", Owner: "bc", Key: "d"},
		{Tenant: "t", Scope: "trace", Name: "ab", Owner: "", Key: "cd"},
		{Tenant: "t", Scope: "trace", Name: "ab", Owner: "cd", Key: ""},
		{Tenant: "t", Scope: "trace", Name: "ab", Owner: "c", Key: "e"},
	}
	for i, k := range keys {
		mustRemember(t, s, k, fmt.Sprint(i))
	}
	for i, k := range keys {
		wantFact(t, s, k, fmt.Sprint(i))
	}
}

func TestRestart(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s, err := Open(Options{Dir: dir, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	mustRemember(t, s, invoice(1), "1")
	// What Remember has returned for is there however the process ends.
	killed := t.TempDir()
	data, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(killed, fileName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantErr := func(err error) {
		t.Helper()
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	_, err = s.Lookup(t.Context(), invoice(1))
	wantErr(err)
	wantErr(s.Remember(t.Context(), invoice(1), Fact{}))

	for _, dir := range []string{dir, killed} {
		again := mustOpen(t, Options{Dir: dir, Now: c.Now})
		wantFact(t, again, invoice(1), "1")
		if size := again.Size(); size.Facts != 1 {
			t.Errorf("%s: size %+v", dir, size)
		}
	}
}

func TestExpiry(t *testing.T) {
	c := newClock()
	s := mustOpen(t, Options{Dir: t.TempDir(), Now: c.Now})
	mustRemember(t, s, invoice(1), "1")
	c.add(time.Hour - time.Nanosecond)
	wantFact(t, s, invoice(1), "1")
	mustRemember(t, s, invoice(2), "2")
	c.add(time.Nanosecond)
	wantFact(t, s, invoice(1), "")
	wantFact(t, s, invoice(2), "2")
	mustRemember(t, s, invoice(3), "3") // prunes
	if size := s.Size(); size.Facts != 2 {
		t.Errorf("size %+v, want two facts", size)
	}
}

// TestPruning: what has expired leaves the file without a new fact coming.
func TestPruning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			f := Fact{JSON: []byte("1"), Expires: time.Now().Add(time.Duration(i+1) * time.Hour)}
			if err := s.Remember(t.Context(), invoice(i), f); err != nil {
				t.Fatal(err)
			}
		}
		for want := 2; want >= 0; want-- {
			<-time.After(time.Hour + pruneEvery)
			synctest.Wait()
			if size := s.Size(); size.Facts != want || want == 0 && size.Bytes != 0 {
				t.Errorf("size %+v, want %d facts", size, want)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestBounds(t *testing.T) {
	text := `"` + strings.Repeat("x", 98) + `"` // 100 bytes
	key, err := invoice(0).encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"count": {MaxFacts: 3},
		"bytes": {MaxBytes: 3*int64(100+len(key)) + 1},
	} {
		t.Run(name, func(t *testing.T) {
			o.Dir = t.TempDir()
			s := mustOpen(t, o)
			for i := range 5 {
				mustRemember(t, s, invoice(i), text)
			}
			mustRemember(t, s, invoice(2), text) // now the youngest
			mustRemember(t, s, invoice(5), text)
			for i, want := range []string{"", "", text, "", text, text} {
				wantFact(t, s, invoice(i), want)
			}
		})
	}
	s := mustOpen(t, Options{Dir: t.TempDir(), MaxValue: 99})
	for what, err := range map[string]error{
		"value": s.Remember(t.Context(), invoice(1), Fact{JSON: []byte(text)}),
		"key":   s.Remember(t.Context(), Key{Key: strings.Repeat("x", maxKey)}, Fact{}),
	} {
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("a large %s: %v", what, err)
		}
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second process: %v", err)
	}
}

// TestDamage changes the file in many places: it opens as it was, or empty with
// the damaged one aside. No fact is ever another than was put.
func TestDamage(t *testing.T) {
	origin := t.TempDir()
	s, err := Open(Options{Dir: origin})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		mustRemember(t, s, invoice(i), fmt.Sprintf(`{"amount":%d}`, i))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(origin, fileName))
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string][]byte{"empty but for zeros": make([]byte, len(whole)), "text": []byte("not a database"), "half": whole[:len(whole)/2]}
	for at := 0; at < len(whole); at += len(whole)/97 + 1 {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 0x10
		damages[fmt.Sprintf("a bit at %d", at)] = flipped
	}
	forgotten := 0
	for name, data := range damages {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		s, err := Open(Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, statErr := os.Stat(filepath.Join(dir, damagedName))
		want := func(i int) string { return fmt.Sprintf(`{"amount":%d}`, i) }
		if aside := statErr == nil; aside {
			forgotten++
			want = func(int) string { return "" }
			if !strings.Contains(log.String(), "set aside") {
				t.Errorf("%s: the log says %s", name, log.String())
			}
		}
		for i := range 60 {
			wantFact(t, s, invoice(i), want(i))
		}
		mustRemember(t, s, invoice(99), "99")
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if forgotten < 3 {
		t.Errorf("%d of %d damages were noticed", forgotten, len(damages))
	}
	t.Logf("%d of %d damages made the store begin empty; the others touched nothing in use", forgotten, len(damages))
}

func TestOtherFormat(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(metaBucket)
		return errors.Join(err, b.Put(formatKey, []byte("signet.facts/9")))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), `"signet.facts/9"`) {
		t.Errorf("a later format: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("its file: %v", err)
	}
}

func TestConcurrent(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir(), MaxFacts: 50})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 25 {
				k := invoice(g*25 + i)
				if err := s.Remember(t.Context(), k, fact(s, k, "1")); err != nil {
					t.Error(err)
				}
				if _, err := s.Lookup(t.Context(), k); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if size := s.Size(); size.Facts != 50 {
		t.Errorf("size %+v, want 50 facts", size)
	}
}

func TestRememberIsCancelled(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // chance decides whether it is queued
		if err := s.Remember(ctx, invoice(1), Fact{}); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

// FuzzDecode: no record of the file makes the reader panic, and none that was
// not encoded for the key is taken.
func FuzzDecode(f *testing.F) {
	r := record{seq: 1, expires: 3, receiptID: "r", value: []byte("{}")}
	f.Add([]byte("key"), r.encode([]byte("key")))
	f.Add([]byte(""), []byte{})
	f.Add([]byte("k"), binary.BigEndian.AppendUint64(nil, 0))
	f.Fuzz(func(t *testing.T, key, stored []byte) {
		r, err := decode(key, stored)
		if err != nil {
			return
		}
		if again := r.encode(key); !bytes.Equal(again, stored) {
			t.Errorf("%x is read as %x", stored, again)
		}
	})
}

func BenchmarkRemember(b *testing.B) {
	s := mustOpen(b, Options{Dir: b.TempDir()})
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			k := invoice(i % 1000)
			if err := s.Remember(b.Context(), k, fact(s, k, `{"invoice_id":"INV-1","amount":120.50,"currency":"EUR"}`)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	s := mustOpen(b, Options{Dir: b.TempDir()})
	mustRemember(b, s, invoice(1), `{"invoice_id": "INV-1", "amount": 120.50, "currency": "EUR"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Lookup(b.Context(), invoice(1)); err != nil {
			b.Fatal(err)
		}
	}
}
