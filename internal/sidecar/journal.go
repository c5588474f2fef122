package sidecar

import (
	"net/http"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/receipts/journal"
)

// JournalLimits are those of a configuration. What is to be shipped is kept until it
// is acknowledged.
func JournalLimits(c *config.Config) journal.Limits {
	j := &c.Journal
	return journal.Limits{
		SealSize: int64(j.SealSize), SealAge: j.SealAge, RetentionAge: j.RetentionAge, RetentionSize: int64(j.RetentionSize),
		HighWater: int64(j.HighWater), HardMark: int64(j.HardMark), Shipped: c.Collector.Address != "",
	}
}

// serveJournal answers with the state of the journal on its disk.
func (s *Sidecar) serveJournal(w http.ResponseWriter, r *http.Request) {
	stat, err := s.journal.Stat(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	if s.shipper != nil {
		stat.Waiting = s.shipper.Waiting()
	}
	writeJSON(w, stat)
}

// serveSeal seals now, and answers as serveJournal does. 503 has the reason why
// it cannot.
func (s *Sidecar) serveSeal(w http.ResponseWriter, r *http.Request) {
	if err := s.journal.Seal(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	s.serveJournal(w, r)
}

// journalState is what metrics ask for.
func (s *Sidecar) journalState() metrics.JournalState {
	_, high := s.journal.DiskUse()
	sealed := s.journal.Sealed()
	return metrics.JournalState{
		Available: s.journal.Err() == nil, LastSeq: s.journal.Head().Seq, FirstSeq: s.journal.First(), AckedSeq: s.journal.Acked().Seq,
		SealedFiles: sealed.Files, SealedBytes: sealed.Bytes, HighWater: high,
	}
}
