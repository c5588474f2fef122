package collector_test

import (
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/storetest"
	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

// signet-collector prune is killed on its way, again and again. What is gone is
// accounted for, to the byte, and the next run goes on from there.
func TestKillPrune(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		url := "sqlite:" + filepath.Join(t.TempDir(), "collector.db")
		kept := open(t, url)
		testKillPrune(t, kept, kept, url)
	})
	t.Run("postgres", func(t *testing.T) {
		kept := cluster.Open(t)
		testKillPrune(t, kept, cluster.Owner(t, kept), cluster.OwnerURL(kept))
	})
}

func testKillPrune(t *testing.T, kept, owner store.Store, url string) {
	const many, records = 60, 30
	ctx, old := t.Context(), time.Now().AddDate(-2, 0, 0)
	if err := errors.Join(kept.CreateTenant(ctx, store.Tenant{Name: "acme", Created: old}), owner.SetRetention(ctx, "acme", 1)); err != nil {
		t.Fatal(err)
	}
	for range many {
		keepOld(t, kept, old, records)
	}
	all, err := kept.Stored(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	binary := testkit.BuildCollector(t)
	account := func() store.Removal {
		t.Helper()
		removals, err := kept.Removals(ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if len(removals) == 0 {
			return store.Removal{}
		}
		return removals[0]
	}
	for range 3 {
		before := account().Records
		process, err := peers.StartProcess(exec.Command(binary, "prune", "--data", t.TempDir(), "--database", url))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(process.Kill)
		for account().Records == before {
			if err := ctx.Err(); err != nil {
				t.Fatal(err)
			}
		}
		process.Kill()
		gone := account()
		stored, err := kept.Stored(ctx, "acme")
		if err != nil || stored.Bytes+gone.Bytes != all.Bytes {
			t.Errorf("%d bytes are stored and %d removed of %d, %v", stored.Bytes, gone.Bytes, all.Bytes, err)
		}
		if left := leftOf(t, kept); left+gone.Records != many*records {
			t.Errorf("%d records are stored and %d removed of %d", left, gone.Records, many*records)
		}
		if gone.Records == many*records {
			break // it was faster
		}
	}
	if out, err := exec.CommandContext(ctx, binary, "prune", "--data", t.TempDir(), "--database", url).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if gone := account(); gone.Records != many*records || gone.Bytes != all.Bytes || leftOf(t, kept) != 0 {
		t.Errorf("in the end %+v are removed, and %d records stored", gone, leftOf(t, kept))
	}
}

// keepOld has acme keep a chain that came at a time, and has the log take it in.
func keepOld(t *testing.T, kept store.Store, at time.Time, records int) {
	t.Helper()
	c := chains.New("acme", "billing-agent", at)
	c.Exchanges(records - 1)
	storetest.Keep(t, kept, c, at)
	if _, err := kept.Sequence(t.Context(), "acme", records, storetest.Counted); err != nil {
		t.Fatal(err)
	}
}

// leftOf is how many records acme has; of each chain all or none.
func leftOf(t *testing.T, kept store.Store) (n int64) {
	t.Helper()
	all, err := kept.ListChains(t.Context(), "acme", store.ChainQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		records, err := kept.Range(t.Context(), "acme", all[i].ID, 1, 1000)
		if err != nil || int64(len(records)) != all[i].Head.Seq-all[i].Pruned {
			t.Errorf("a chain has %d records of %d, of which %d were removed: %v", len(records), all[i].Head.Seq, all[i].Pruned, err)
		}
		n += int64(len(records))
	}
	return n
}
