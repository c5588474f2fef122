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
	"github.com/signet-egress/signet/internal/jsonx"
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

func value(t testing.TB, text string) *jsonx.Value {
	t.Helper()
	v, err := jsonx.Parse([]byte(text), jsonx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func invoice(n int) Key {
	return Key{Fact: "invoice", Scope: ScopeAgent, Agent: "billing", Of: fmt.Sprint(n)}
}

func mustPut(t testing.TB, s *Store, k Key, text string) {
	t.Helper()
	if err := s.Put(t.Context(), k, Fact{Value: value(t, text), ReceiptID: "r-" + k.Of}, time.Hour); err != nil {
		t.Fatal(err)
	}
}

// wantFact wants a value, or none if text is empty.
func wantFact(t testing.TB, s *Store, k Key, text string) {
	t.Helper()
	f, err := s.Get(k)
	switch {
	case text == "" && !errors.Is(err, ErrNotFound):
		t.Errorf("%+v: %v, want none", k, err)
	case text == "":
	case err != nil:
		t.Errorf("%+v: %v", k, err)
	case string(jsonx.Append(nil, f.Value)) != text || f.ReceiptID != "r-"+k.Of:
		t.Errorf("%+v is %s of receipt %s, want %s", k, jsonx.Append(nil, f.Value), f.ReceiptID, text)
	}
}

func TestPutAndGet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := mustOpen(t, Options{Dir: dir})
	const text = `{"amount":9007199254740993.10,"none":null,"text":"ü"}`
	mustPut(t, s, invoice(1), text)
	wantFact(t, s, invoice(1), text)
	wantFact(t, s, invoice(2), "")
	mustPut(t, s, invoice(1), `{"amount":2}`)
	wantFact(t, s, invoice(1), `{"amount":2}`)
	if size := s.Size(); size.Facts != 1 {
		t.Errorf("size %+v, want one fact", size)
	}
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("facts.db: mode %v, %v", info.Mode(), err)
	}
}

func TestScopes(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir()})
	base := Key{Fact: "f", Agent: "a", Trace: "t", Of: "1"}
	for _, c := range []struct {
		scope  Scope
		shared []Key // found by these too
		apart  []Key
	}{
		{ScopeTrace, nil, []Key{{Fact: "f", Agent: "b", Trace: "t", Of: "1"}, {Fact: "f", Agent: "a", Trace: "u", Of: "1"}}},
		{ScopeAgent, []Key{{Fact: "f", Agent: "a", Trace: "u", Of: "1"}}, []Key{{Fact: "f", Agent: "b", Trace: "t", Of: "1"}}},
		{ScopeTenant, []Key{{Fact: "f", Agent: "b", Trace: "u", Of: "1"}}, []Key{{Fact: "g", Of: "1"}, {Fact: "f", Of: "2"}}},
	} {
		k := base
		k.Scope = c.scope
		mustPut(t, s, k, `"`+string(c.scope)+`"`)
		for _, other := range c.shared {
			other.Scope = c.scope
			wantFact(t, s, other, `"`+string(c.scope)+`"`)
		}
		for _, other := range c.apart {
			other.Scope = c.scope
			wantFact(t, s, other, "")
		}
	}
	err := s.Put(t.Context(), Key{Fact: "f", Scope: "team"}, Fact{Value: value(t, "1")}, time.Hour)
	if err == nil || !strings.Contains(err.Error(), `trace, agent or tenant, not "team"`) {
		t.Errorf("an unknown scope: %v", err)
	}
}

// TestKeysAreApart: no two keys share a fact because of where one part ends.
func TestKeysAreApart(t *testing.T) {
	seen := map[string]Key{}
	for _, k := range []Key{
		{Fact: "ab", Scope: ScopeTrace, Agent: "c", Trace: "d", Of: "e"},
		{Fact: "a", Scope: ScopeTrace, Agent: "bc", Trace: "d", Of: "e"},
		{Fact: "ab", Scope: ScopeTrace, Agent: "", Trace: "cd", Of: "e"},
		{Fact: "ab", Scope: ScopeTrace, Agent: "c", Trace: "", Of: "de"},
		{Fact: "ab", Scope: ScopeAgent, Agent: "c", Of: "e"},
		{Fact: "ab", Scope: ScopeTenant, Of: "e"},
	} {
		b, err := k.encode()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[string(b)]; ok {
			t.Errorf("%+v and %+v are one", k, other)
		}
		seen[string(b)] = k
	}
	of := map[string]bool{}
	for _, text := range []string{`"7"`, "7", "7.0", `"7.0"`} {
		k, err := KeyOf(value(t, text))
		if err != nil || of[k] {
			t.Errorf("KeyOf(%s) = %s, %v", text, k, err)
		}
		of[k] = true
	}
	for _, v := range []*jsonx.Value{nil, value(t, "null"), value(t, "true"), value(t, "[1]"), value(t, "{}")} {
		if k, err := KeyOf(v); err == nil {
			t.Errorf("KeyOf(%v) = %s", v, k)
		}
	}
}

func TestRestart(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s, err := Open(Options{Dir: dir, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, invoice(1), "1")
	// What Put has returned for is there however the process ends.
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
	_, err = s.Get(invoice(1))
	wantErr(err)
	wantErr(s.Put(t.Context(), invoice(1), Fact{Value: value(t, "1")}, time.Hour))

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
	mustPut(t, s, invoice(1), "1")
	c.add(time.Hour - time.Nanosecond)
	wantFact(t, s, invoice(1), "1")
	mustPut(t, s, invoice(2), "2")
	c.add(time.Nanosecond)
	wantFact(t, s, invoice(1), "")
	wantFact(t, s, invoice(2), "2")
	mustPut(t, s, invoice(3), "3") // prunes
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
			if err := s.Put(t.Context(), invoice(i), Fact{Value: value(t, "1")}, time.Duration(i+1)*time.Hour); err != nil {
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
				mustPut(t, s, invoice(i), text)
			}
			mustPut(t, s, invoice(2), text) // now the youngest
			mustPut(t, s, invoice(5), text)
			for i, want := range []string{"", "", text, "", text, text} {
				wantFact(t, s, invoice(i), want)
			}
		})
	}
	s := mustOpen(t, Options{Dir: t.TempDir(), MaxValue: 99})
	for what, err := range map[string]error{
		"value": s.Put(t.Context(), invoice(1), Fact{Value: value(t, text)}, time.Hour),
		"key":   s.Put(t.Context(), Key{Fact: "f", Scope: ScopeTenant, Of: strings.Repeat("x", maxKey)}, Fact{Value: value(t, "1")}, time.Hour),
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
		mustPut(t, s, invoice(i), fmt.Sprintf(`{"amount":%d}`, i))
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
		mustPut(t, s, invoice(99), "99")
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
				if err := s.Put(t.Context(), k, Fact{Value: value(t, "1"), ReceiptID: "r"}, time.Hour); err != nil {
					t.Error(err)
				}
				if _, err := s.Get(k); err != nil && !errors.Is(err, ErrNotFound) {
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

func TestPutIsCancelled(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // chance decides whether it is queued
		if err := s.Put(ctx, invoice(1), Fact{Value: value(t, "1")}, time.Hour); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

// FuzzDecode: no record of the file makes the reader panic, and none that was
// not encoded for the key is taken.
func FuzzDecode(f *testing.F) {
	r := record{seq: 1, captured: 2, expires: 3, receiptID: "r", value: []byte("{}")}
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

func BenchmarkPut(b *testing.B) {
	s := mustOpen(b, Options{Dir: b.TempDir()})
	v := value(b, `{"invoice_id": "INV-1", "amount": 120.50, "currency": "EUR"}`)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if err := s.Put(b.Context(), invoice(i%1000), Fact{Value: v, ReceiptID: "r"}, time.Hour); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	s := mustOpen(b, Options{Dir: b.TempDir()})
	mustPut(b, s, invoice(1), `{"invoice_id": "INV-1", "amount": 120.50, "currency": "EUR"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(invoice(1)); err != nil {
			b.Fatal(err)
		}
	}
}
