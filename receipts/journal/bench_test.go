package journal

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/receipts"
)

// commits is an Observer that counts.
type commits struct{ n, signed atomic.Int64 }

func (c *commits) Committed(CommitStats) { c.n.Add(1) }
func (c *commits) Signed(time.Duration)  { c.signed.Add(1) }

func (*commits) Sealed(time.Duration, error)              {}
func (*commits) Checkpointed(int64, time.Duration, error) {}

// BenchmarkExchange is what an exchange costs here: an intent and a receipt,
// each durable before the next step.
func BenchmarkExchange(b *testing.B) {
	for _, workers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", workers), func(b *testing.B) {
			o := options(b.TempDir())
			seen := new(commits)
			o.Observer = seen
			j := open(b, o)
			defer closeJournal(b, j)
			seen.n.Store(0)
			b.ReportAllocs()
			share(b, workers, func(worker int) {
				r := draft(traces[worker])
				if err := j.Begin(r, ""); err != nil {
					b.Error(err)
				}
				if err := j.Finish(forward(r)).Wait(); err != nil {
					b.Error(err)
				}
			})
			b.ReportMetric(float64(seen.n.Load())/float64(b.N), "commits/op")
		})
	}
}

// BenchmarkDenial is a receipt without an intent.
func BenchmarkDenial(b *testing.B) {
	for _, workers := range []int{1, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", workers), func(b *testing.B) {
			j := open(b, options(b.TempDir()))
			defer closeJournal(b, j)
			b.ReportAllocs()
			share(b, workers, func(worker int) {
				if err := j.Finish(draft(traces[worker])).Wait(); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// BenchmarkBboltCommit is the floor: one record of the same size in one commit.
func BenchmarkBboltCommit(b *testing.B) {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "raw.db"), 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	line := make([]byte, 1700)
	for seq := int64(1); b.Loop(); seq++ {
		err := db.Update(func(tx *bbolt.Tx) error {
			records, err := tx.CreateBucketIfNotExists(recordsBucket)
			if err != nil {
				return err
			}
			records.FillPercent = fill
			key := seqKey(seq)
			return records.Put(key[:], line)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParts prices what a receipt costs without the disk.
func BenchmarkParts(b *testing.B) {
	j := open(b, options(b.TempDir()))
	defer closeJournal(b, j)
	r := forward(draft("t"))
	sign := newSigner(testKey, nil)
	b.Run("complete", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := complete(r, j.anyHead); err != nil {
				b.Fatal(err)
			}
		}
	})
	var core, line []byte
	b.Run("core and hash", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			core = receipts.AppendCore(core[:0], r)
			r.ReceiptHash = receipts.Hash(core)
		}
	})
	b.Run("sign and line", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			line = sign.appendLine(line[:0], r, core)
		}
	})
}

// BenchmarkOpen is the start beside a journal of 100,000 receipts, every page
// of which is checked.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	j := open(b, options(dir))
	for range 100 {
		var queued []*Commit
		for i := range 1000 {
			queued = append(queued, j.Finish(forward(draft(traces[i%len(traces)]))))
		}
		for _, c := range queued {
			if err := c.Wait(); err != nil {
				b.Fatal(err)
			}
		}
	}
	closeJournal(b, j)
	b.ResetTimer()
	for range b.N {
		closeJournal(b, open(b, options(dir)))
	}
}

var traces = func() (ids [64]string) {
	for i := range ids {
		ids[i] = fmt.Sprintf("trace-%d", i)
	}
	return ids
}()

// share divides b.N operations among workers.
func share(b *testing.B, workers int, op func(worker int)) {
	b.Helper()
	var (
		wg   sync.WaitGroup
		left atomic.Int64
	)
	left.Store(int64(b.N))
	b.ResetTimer()
	for worker := range workers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				op(worker)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}
