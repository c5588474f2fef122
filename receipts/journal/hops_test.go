package journal

import (
	"sync"
	"testing"

	"go.etcd.io/bbolt"
)

// However receipts fall into groups, the database has one place for each trace,
// that of its newest hop, and a trace goes on from there after a restart.
func TestHopsInOneGroup(t *testing.T) {
	dir := t.TempDir()
	hops := map[string]int64{"a": 0, "b": 0}
	for range 2 {
		var gate sync.Mutex
		o := options(dir)
		o.hooks.commit = func(tx *bbolt.Tx) error {
			gate.Lock()
			defer gate.Unlock()
			return tx.Commit()
		}
		j := open(t, o)
		gate.Lock()
		var group []*Commit
		for _, trace := range []string{"a", "a", "b", "a", "b", "b"} {
			hops[trace]++
			group = append(group, j.Finish(forward(draft(trace))))
		}
		gate.Unlock()
		for _, c := range group {
			if err := c.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		err := j.view(func(tx *bbolt.Tx) error {
			x, err := loadHopIndex(tx.Bucket(tracesBucket), j.Head().Seq)
			if err != nil || len(x.seqs) != len(hops) {
				t.Errorf("%d traces, %v; want %d", len(x.seqs), err, len(hops))
			}
			for trace, want := range hops {
				if next, _ := x.traces.Next(trace); next != want+1 {
					t.Errorf("trace %s goes on at hop %d, want %d", trace, next, want+1)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		closeJournal(t, j)
	}
}
