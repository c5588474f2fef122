package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/relation"
	"github.com/signet-egress/signet/internal/collector/store/storetest"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

// cluster is PostgreSQL for all tests of the binary; each has a database of its own.
var cluster *peers.Postgres

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	cluster, err = peers.StartPostgres(context.Background(), "fsync=off")
	switch {
	case errors.Is(err, peers.ErrNoPostgres):
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	default:
		defer cluster.Close()
	}
	return m.Run()
}

// newDatabase is one with all tables, by its name: a copy of the first.
func newDatabase(t *testing.T) string {
	t.Helper()
	if cluster == nil {
		t.Skip(peers.ErrNoPostgres)
	}
	const first = "first"
	migrated.Do(func() {
		if err := cluster.Create(t.Context(), first, ""); err != nil {
			t.Fatal(err)
		}
		if err := Migrate(t.Context(), cluster.URL("", first), time.Now()); err != nil {
			t.Fatal(err)
		}
	})
	name := strings.ReplaceAll(chains.UUID(), "-", "")
	if err := cluster.Create(t.Context(), name, first); err != nil {
		t.Fatal(err)
	}
	return name
}

var migrated sync.Once

func open(t *testing.T, url string) *relation.Store {
	t.Helper()
	s, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s := open(t, cluster.URL("", newDatabase(t)))
		s.Window = storetest.Window
		return s
	})
}

func TestFaults(t *testing.T) { storetest.Faults(t, open(t, cluster.URL("", newDatabase(t)))) }
