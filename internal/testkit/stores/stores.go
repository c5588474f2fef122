// Package stores runs tests on each of the collector's stores.
package stores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/postgres"
	"github.com/signet-egress/signet/internal/collector/store/sqlite"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

// Cluster is a PostgreSQL for many tests, each of which has a database of its own.
type Cluster struct {
	*peers.Postgres // nil where it is not installed

	migrated sync.Once
	owned    sync.Map // the URL of each store's database for its owner, by the store
}

// Run starts the cluster and runs the tests of a binary: it is what TestMain exits
// with. It wants the tests to leave no goroutine behind.
func (c *Cluster) Run(m *testing.M) int {
	var err error
	c.Postgres, err = peers.StartPostgres(context.Background(), "fsync=off") // a crash of the machine is no part of these tests
	switch {
	case errors.Is(err, peers.ErrNoPostgres):
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	default:
		defer c.Close()
	}
	// PostgreSQL's process is still there, and those who wait for it.
	others := goleak.IgnoreCurrent()
	if status := m.Run(); status != 0 {
		return status
	}
	if err := goleak.Find(others); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// OnEach runs a test with a store of each kind, without tenants.
func (c *Cluster) OnEach(t *testing.T, test func(t *testing.T, kept store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, c.Open(t)) })
}

// SQLite is a store in a file of the test's own.
func SQLite(t testing.TB) store.Store {
	t.Helper()
	kept, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "collector.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closes(t, kept) })
	return kept
}

// Open is a store in a database of the test's own.
func (c *Cluster) Open(t testing.TB) store.Store {
	t.Helper()
	name := c.database(t)
	kept := c.open(t, c.URL(replica, name))
	c.owned.Store(kept, c.URL("", name))
	return kept
}

// Owner is a store of OnEach as the owner of its tables, who removes records.
func (c *Cluster) Owner(t testing.TB, kept store.Store) store.Store {
	t.Helper()
	if url := c.OwnerURL(kept); url != "" {
		return c.open(t, url)
	}
	return kept
}

// OwnerURL is the URL of a store's database for its owner; "" where that is no
// PostgreSQL.
func (c *Cluster) OwnerURL(kept store.Store) string {
	url, _ := c.owned.Load(kept)
	text, _ := url.(string)
	return text
}

func (c *Cluster) open(t testing.TB, url string) store.Store {
	t.Helper()
	kept, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closes(t, kept) })
	return kept
}

func closes(t testing.TB, kept store.Store) {
	t.Helper()
	if err := kept.Close(); err != nil {
		t.Error(err)
	}
}

const (
	template = "template_signet"
	replica  = "replica"
)

// Database is the URL of a database with all tables, for a user that may do no
// more than the application's role.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	return c.URL(replica, c.database(t))
}

func (c *Cluster) database(t testing.TB) (name string) {
	t.Helper()
	if c.Postgres == nil {
		t.Skip(peers.ErrNoPostgres)
	}
	c.migrated.Do(func() {
		must(t, c.Create(t.Context(), template, ""))
		must(t, postgres.Migrate(t.Context(), c.URL("", template), time.Now()))
		must(t, c.SQL(t.Context(), template, "CREATE ROLE "+replica+" LOGIN IN ROLE signet_app"))
	})
	name = "d" + strings.ReplaceAll(chains.UUID(), "-", "")
	must(t, c.Create(t.Context(), name, template))
	return name
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
