package sidecar

import (
	"net/http"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/receipts/journal"
)

// JournalLimits are those of a configuration.
func JournalLimits(c *config.Journal) journal.Limits {
	return journal.Limits{
		SealSize: int64(c.SealSize), SealAge: c.SealAge, RetentionAge: c.RetentionAge, RetentionSize: int64(c.RetentionSize),
		HighWater: int64(c.HighWater), HardMark: int64(c.HardMark),
	}
}

// serveJournal answers with the state of the journal on its disk.
func (s *Sidecar) serveJournal(w http.ResponseWriter, r *http.Request) {
	stat, err := s.journal.Stat(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
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
