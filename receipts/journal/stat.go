package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/signet-egress/signet/receipts"
)

// Stat is the state of a journal on its disk.
type Stat struct {
	Chain    string       `json:"chain"`
	Seq      int64        `json:"seq"`  // of the newest record
	Head     string       `json:"head"` // its receipt_hash
	Newest   time.Time    `json:"newest"`
	FirstSeq int64        `json:"first_seq"` // of the oldest record that is there
	Oldest   time.Time    `json:"oldest"`
	Database DatabaseStat `json:"database"`
	Sealed   SealedStat   `json:"sealed"`
	// OpenIntents are the exchanges under way, or those that a crash cut short.
	OpenIntents int `json:"open_intents"`
	// AckedSeq is up to where a collector has the chain; 0 for nothing.
	AckedSeq int64 `json:"acked_seq"`
	// Waiting says why what the collector lacks is not shipped; empty while it is,
	// and where the sidecar does not run.
	Waiting string     `json:"waiting,omitempty"`
	Disk    BudgetStat `json:"disk"`
	// Unavailable says why egress is denied; empty while it is not, and where the
	// sidecar does not run.
	Unavailable string `json:"unavailable,omitempty"`
}

// DatabaseStat is what journal.db holds.
type DatabaseStat struct {
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"` // of the file
}

// SealedStat is what the sealed files hold.
type SealedStat struct {
	Files   int   `json:"files"`
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
	Lost    int64 `json:"lost,omitempty"` // records of files that were given up for lost
}

// BudgetStat is the disk that the journal takes and may take, in bytes.
type BudgetStat struct {
	Used          int64 `json:"used"`
	HighWater     int64 `json:"high_water"`
	HardMark      int64 `json:"hard_mark"`
	RetentionSize int64 `json:"retention_size"`
}

// Stat takes stock.
func (j *Journal) Stat(ctx context.Context) (Stat, error) {
	st, err := statOf(ctx, j.path, j.records(), j.Head(), j.sealer.limits)
	st.OpenIntents, st.AckedSeq = j.OpenIntents(), j.Acked().Seq
	if err := j.Err(); err != nil {
		st.Unavailable = err.Error()
	}
	return st, err
}

// First is the seq of the oldest record that was not pruned.
func (j *Journal) First() int64 { return j.archive.gone().Last + 1 }

// Sealed is what the sealed files hold.
func (j *Journal) Sealed() SealedStat { return j.archive.stat() }

func (a *archive) stat() (st SealedStat) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for i := range a.files {
		n := a.files[i].Last - a.files[i].First + 1
		if a.files[i].Lost {
			st.Lost += n
			continue
		}
		st.Files++
		st.Records += n
		st.Bytes += a.files[i].Bytes
	}
	return st
}

// DiskUse is how many bytes the journal takes on the disk, and whether that is
// above the high-water mark.
func (j *Journal) DiskUse() (used int64, high bool) {
	used = j.budget.used()
	return used, used >= j.budget.limits.HighWater
}

// Stat takes stock, with the limits that a sidecar would have.
func (r *Reader) Stat(ctx context.Context, limits Limits) (Stat, error) {
	if err := limits.complete(); err != nil {
		return Stat{}, err
	}
	st, err := statOf(ctx, r.store.path, r.records, r.head, &limits)
	if err != nil {
		return st, err
	}
	st.OpenIntents = r.intents
	ack, err := ReadAck(r.records.archive.dir)
	if ack != nil {
		st.AckedSeq = ack.Seq
	}
	return st, err
}

func statOf(ctx context.Context, path string, chain records, head Head, limits *Limits) (Stat, error) {
	st := Stat{Chain: head.Chain, Seq: head.Seq, Head: head.Hash, Newest: head.TS, FirstSeq: chain.archive.gone().Last + 1}
	st.Sealed = chain.archive.stat()
	st.Database.Records = head.Seq - chain.archive.last().Last
	info, err := os.Stat(path)
	if err != nil {
		return st, fmt.Errorf("journal: %w", err)
	}
	st.Database.Bytes = info.Size()
	st.Disk = BudgetStat{
		Used: st.Database.Bytes + st.Sealed.Bytes, HighWater: limits.HighWater, HardMark: limits.HardMark, RetentionSize: limits.RetentionSize,
	}
	enough := errors.New("enough")
	err = chain.each(ctx, st.FirstSeq, head.Seq, func(seq int64, line []byte) error {
		rec, err := receipts.Decode(line)
		if err != nil {
			return fmt.Errorf("oldest record: %w", err)
		}
		st.FirstSeq, st.Oldest = seq, rec.RecordHead().TS
		return enough
	})
	if !errors.Is(err, enough) {
		return st, err
	}
	return st, nil
}
