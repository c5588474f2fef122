package journal

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

var (
	speedRounds = flag.Int("speed.rounds", 5, "how often TestDurabilityCosts measures each of its parts; make speed takes 50")
	speedDisk   = flag.Bool("speed.disk", false, "measure with the disk as it is too, which needs a machine with nothing else to do")
)

// What strict durability may add to the median exchange of one client, and to
// that of each of 64, in commits of bbolt on the same disk.
const (
	mostAlone    = 3
	mostTogether = 6
	together     = 64
	repeats      = 3
)

// TestDurabilityCosts measures, in turns, one bbolt commit of one record, and
// exchanges of one client and of 64 at once: with a journal as it is, and with one
// that does not wait for the disk. An exchange is an intent and a receipt, each
// durable before the next step. A machine that is busy with other things is as
// slow in all of them.
func TestDurabilityCosts(t *testing.T) {
	for _, tt := range []struct {
		name string
		sync time.Duration // what each commit that is durable takes longer
	}{
		{"on this disk", 0},
		{"with a slow disk", 20 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.sync == 0 && !*speedDisk {
				t.Skip("a measurement, which make speed takes")
			}
			raw := openRaw(t)
			strict, relaxed := options(t.TempDir()), options(t.TempDir())
			strict.hooks.commit = slowed(tt.sync)
			relaxed.hooks.commit = func(tx *bbolt.Tx) error {
				tx.DB().NoSync = true
				return tx.Commit()
			}
			var commits []time.Duration
			durable, volatile := measured{j: open(t, strict)}, measured{j: open(t, relaxed)}
			defer closeJournal(t, durable.j)
			defer closeJournal(t, volatile.j)
			for round := range *speedRounds {
				for i := range repeats {
					commits = append(commits, took(func() { raw.put(t, int64(repeats*round+i), tt.sync) }))
				}
				durable.measure(t)
				volatile.measure(t)
			}
			commit := median(commits)
			adds := func(strict, relaxed []time.Duration) float64 {
				return (median(strict) - median(relaxed)).Seconds() / commit.Seconds()
			}
			one, each := adds(durable.alone, volatile.alone), adds(durable.many, volatile.many)
			t.Logf("a commit takes %v; one client's exchange %v, of which durability %.1f commits; each of %d's %v, of which %.1f commits",
				commit, median(durable.alone), one, together, median(durable.many), each)
			if one > mostAlone || each > mostTogether {
				t.Errorf("durability adds more than %d commits for one client, or %d for each of %d", mostAlone, mostTogether, together)
			}
		})
	}
}

// measured is what exchanges took with a journal.
type measured struct {
	j           *Journal
	alone, many []time.Duration
}

func (e *measured) measure(t *testing.T) {
	t.Helper()
	for range repeats {
		e.alone = append(e.alone, took(func() { finish(t, e.j, forward(begin(t, e.j, draft("alone")))) }))
	}
	e.many = append(e.many, exchangesAtOnce(t, e.j)...)
}

// TestGroupsGrow slows each sync to 2 ms: what waits is then written together.
func TestGroupsGrow(t *testing.T) {
	o := options(t.TempDir())
	seen := new(counter)
	o.Observer, o.hooks.commit = seen, slowed(2*time.Millisecond)
	j := open(t, o)
	for range 5 {
		exchangesAtOnce(t, j)
	}
	closeJournal(t, j)
	operations := 0
	for _, s := range seen.commits {
		operations += s.Intents + s.Records
	}
	mean := float64(operations) / float64(len(seen.commits))
	t.Logf("%d operations in %d commits: %.1f each", operations, len(seen.commits), mean)
	if mean <= 10 {
		t.Errorf("a commit has %.1f operations on average, want more than 10", mean)
	}
}

// slowed commits take as much longer.
func slowed(by time.Duration) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		err := tx.Commit()
		linger(by)
		return err
	}
}

func linger(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

// exchangesAtOnce has 64 clients make a few exchanges each and returns how long
// each took.
func exchangesAtOnce(t *testing.T, j *Journal) (all []time.Duration) {
	t.Helper()
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for client := range together {
		wg.Go(func() {
			for range repeats {
				d := took(func() {
					r := draft(fmt.Sprint("client-", client))
					if err := j.Begin(r, ""); err != nil {
						t.Error(err)
					}
					if err := j.Finish(forward(r)).Wait(); err != nil {
						t.Error(err)
					}
				})
				mu.Lock()
				all = append(all, d)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return all
}

func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// rawStore is bbolt as the journal opens it, and nothing around it.
type rawStore struct{ db *bbolt.DB }

func openRaw(t *testing.T) rawStore {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "raw.db"), 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return rawStore{db}
}

// put commits one record of the usual size.
func (s rawStore) put(t *testing.T, seq int64, slower time.Duration) {
	t.Helper()
	err := s.db.Update(func(tx *bbolt.Tx) error {
		records, err := tx.CreateBucketIfNotExists(recordsBucket)
		if err != nil {
			return err
		}
		records.FillPercent = fill
		key := seqKey(seq)
		return records.Put(key[:], make([]byte, 1700))
	})
	if err != nil {
		t.Fatal(err)
	}
	linger(slower)
}
