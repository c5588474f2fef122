package journal

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestGroups has many goroutines share commits, and a follower read along.
func TestGroups(t *testing.T) {
	o := options(t.TempDir())
	seen := new(counter)
	o.Observer = seen
	j := open(t, o)
	const workers, each = 32, 20

	followed := make(chan []int64)
	go func() { followed <- follow(t, j, 2+workers*each) }()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				r := draft(fmt.Sprintf("trace-%d", w%5))
				if err := j.Begin(r, ""); err != nil {
					t.Error(err)
					return
				}
				if err := j.Finish(forward(r)).Wait(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if seqs := <-followed; !slices.IsSorted(seqs) || len(seqs) != 2+workers*each {
		t.Errorf("the follower saw %d records, in order: %t", len(seqs), slices.IsSorted(seqs))
	}
	c := verify(t, j)
	if len(c.receipts) != workers*each {
		t.Errorf("%d receipts, want %d", len(c.receipts), workers*each)
	}
	closeJournal(t, j)
	seen.check(t, workers*each, workers*each+2) // and start and stop
}

// follow reads records as they come, without a gap between waiting and reading.
func follow(t *testing.T, j *Journal, n int) (seqs []int64) {
	for next := int64(1); len(seqs) < n; {
		changed := j.Changed()
		err := j.Range(context.Background(), next, func(seq int64, _ []byte) error {
			seqs = append(seqs, seq)
			next = seq + 1
			return nil
		})
		if err != nil {
			t.Error(err)
			return seqs
		}
		if len(seqs) < n {
			<-changed
		}
	}
	return seqs
}

// counter is an Observer.
type counter struct {
	mu      sync.Mutex
	signed  int
	commits []CommitStats
}

func (c *counter) Sealed(time.Duration, error) {}

func (c *counter) Signed(time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signed++
}

func (*counter) Checkpointed(int64, time.Duration, error) {}

func (c *counter) Committed(s CommitStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commits = append(c.commits, s)
}

func (c *counter) check(t *testing.T, intents, records int) {
	t.Helper()
	var sum CommitStats
	for _, s := range c.commits {
		sum.Intents, sum.Records = sum.Intents+s.Intents, sum.Records+s.Records
		if s.Err != nil || s.Bytes <= 0 {
			t.Errorf("commit %+v", s)
		}
	}
	if sum.Intents != intents || sum.Records != records || c.signed != records+1 { // and the genesis
		t.Errorf("observed %d intents, %d records, %d signatures; want %d, %d, %d", sum.Intents, sum.Records, c.signed, intents, records, records+1)
	}
	if len(c.commits) >= intents+records {
		t.Errorf("%d commits for %d operations: none was shared", len(c.commits), intents+records)
	}
}
