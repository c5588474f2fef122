package collector_test

import (
	"os"
	"testing"

	"github.com/signet-egress/signet/internal/collector"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/stores"
)

// cluster is PostgreSQL for all tests of the binary.
var cluster stores.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// onEach runs a test on a collector with each kind of store.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	cluster.OnEach(t, func(t *testing.T, kept store.Store) { test(t, start(t, kept)) })
}

// open opens a store as the program does.
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
