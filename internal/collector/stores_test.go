package collector_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/signet-egress/signet/internal/collector"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

// cluster is PostgreSQL for all tests of the binary; each has a database of its
// own. nil: it is not installed.
var cluster *peers.Postgres

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	cluster, err = peers.StartPostgres(context.Background(), "fsync=off") // a crash of the machine is no part of these tests
	switch {
	case errors.Is(err, peers.ErrNoPostgres):
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	default:
		defer cluster.Close()
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

// onEach runs a test on a collector with each kind of store.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		test(t, start(t, open(t, "sqlite:"+filepath.Join(t.TempDir(), "collector.db"))))
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, start(t, open(t, newDatabase(t, cluster))))
	})
}

// newDatabase is the URL of a database with all tables, for a user that may do no
// more than the application's role.
func newDatabase(t testing.TB, pg *peers.Postgres) string {
	t.Helper()
	if pg == nil {
		t.Skip(peers.ErrNoPostgres)
	}
	name := "d" + strings.ReplaceAll(chains.UUID(), "-", "")
	if err := pg.Create(t.Context(), name, ""); err != nil {
		t.Fatal(err)
	}
	if err := collector.MigrateStore(t.Context(), pg.URL("", name)); err != nil {
		t.Fatal(err)
	}
	if err := pg.SQL(t.Context(), name, "CREATE ROLE "+name+" LOGIN IN ROLE signet_app"); err != nil {
		t.Fatal(err)
	}
	return pg.URL(name, name)
}

func open(t testing.TB, url string) store.Store {
	t.Helper()
	kept, err := collector.OpenStore(t.Context(), url)
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
