package ship_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/collector"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/sqlite"
	"github.com/signet-egress/signet/internal/ship"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))
}

const (
	tenant = "acme"
	token  = "bootstrap"
)

// site is a real collector on SQLite, which may be down, and its address.
type site struct {
	t         *testing.T
	store     store.Store
	authority *pki.Authority
	key       ed25519.PrivateKey
	address   string
	stop      func() // nil while it is down
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	kept, err := sqlite.Open(t.Context(), filepath.Join(dir, "collector.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	s := &site{t: t, store: kept, address: freeAddress(t)}
	if s.authority, err = pki.LoadAuthority(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if s.key, err = collector.LoadKey(filepath.Join(dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
	if err := kept.CreateTenant(t.Context(), store.Tenant{Name: tenant, Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	s.token(token, store.ScopeEnroll)
	t.Cleanup(s.down)
	return s
}

// freeAddress is one that a collector can come back to.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func (s *site) token(secret string, scopes ...store.Scope) {
	s.t.Helper()
	err := s.store.AddToken(s.t.Context(), store.Token{ID: chains.UUID(), Tenant: tenant, Digest: sha256.Sum256([]byte(secret)), Scopes: scopes, Created: time.Now()})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) up() {
	s.t.Helper()
	c, err := collector.New(s.t.Context(), collector.Options{
		Listen: s.address, HTTPListen: "127.0.0.1:0", Names: []string{"127.0.0.1"}, Store: s.store, Authority: s.authority, Key: s.key,
		LogName: "collector.example", Build: "v0.0.0-test", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(s.t.Context()))
	done := make(chan error, 1)
	go func() { done <- c.Serve(ctx) }()
	s.stop = func() {
		stop()
		if err := <-done; err != nil {
			s.t.Errorf("serve: %v", err)
		}
	}
}

func (s *site) down() {
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
}

// options are those of a sidecar of this site's.
func (s *site) options(dir string, j *journal.Journal) ship.Options {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.authority.PEM())
	dialer := new(net.Dialer)
	return ship.Options{
		Address: s.address, Roots: roots, Token: func() ([]byte, error) { return []byte(token + "\n"), nil },
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		},
		Dir: dir, Tenant: tenant, Agent: "billing-agent", Chain: j, Log: slog.New(slog.NewTextHandler(s.t.Output(), nil)),
	}
}

// shipAll has a shipper send what the journal has, until it is acknowledged.
func (s *site) shipAll(dir string, j *journal.Journal) {
	s.t.Helper()
	w := newWatcher()
	o := s.options(dir, j)
	o.Observer = w
	stop := run(s.t, ship.New(o))
	w.until(s.t, "the ack", func() bool { return w.acked == j.Head().Seq })
	stop()
}

var signingKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func openJournal(t *testing.T, dir string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Options{
		Dir: dir, Key: signingKey, Tenant: tenant, Agent: "billing-agent", Build: "v0.0.0-test",
		PolicyVersion: receipts.Hash([]byte("[]")), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// write adds n denials.
func write(t *testing.T, j *journal.Journal, n int) {
	t.Helper()
	commits := make([]*journal.Commit, n) // which share what is synced
	for i := range commits {
		commits[i] = j.Finish(&receipts.Receipt{
			ReceiptID: chains.UUID(), TraceID: "trace", Tenant: tenant, Agent: "billing-agent", Outcome: receipts.Denied, Count: 1,
			Policy: receipts.Policy{Reason: "HEL_HOST_NOT_ALLOWED", Mode: "enforce", Version: receipts.Hash([]byte("[]"))},
			Detail: &receipts.Detail{Started: time.Now()},
		})
	}
	for _, c := range commits {
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// watcher hands out what a shipper comes to.
type watcher struct {
	mu     sync.Mutex
	acked  int64
	failed map[string]int
	moved  chan struct{} // closed at each change
}

func newWatcher() *watcher {
	return &watcher{failed: map[string]int{}, moved: make(chan struct{})}
}

func (w *watcher) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.moved)
	w.moved = make(chan struct{})
}

func (w *watcher) Connected(bool)       { w.change(func() {}) }
func (w *watcher) Acked(seq, _ int64)   { w.change(func() { w.acked = max(w.acked, seq) }) }
func (w *watcher) Failed(reason string) { w.change(func() { w.failed[reason]++ }) }

// until waits for something to be true of the watcher.
func (w *watcher) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for {
		w.mu.Lock()
		moved, done := w.moved, ok()
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case <-moved:
		case <-t.Context().Done():
			t.Fatalf("never saw %s", what)
		}
	}
}

// run ships until the function that it returns is called.
func run(t *testing.T, s *ship.Shipper) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return stop
}
