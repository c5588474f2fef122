package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Commit is what is measured of one commit of the journal.
type Commit struct {
	Took    time.Duration // of the transaction, sync included
	Err     error
	Intents int   // begun in it
	Records int   // appended in it
	Pending int   // operations queued behind it
	Open    int   // open intents after it
	Bytes   int64 // of the database's file
}

// Journal measures the journal.
type Journal struct {
	commit, group          prometheus.Observer
	begins, appends        prometheus.Counter
	commits, failed        prometheus.Counter
	pending, intents, size prometheus.Gauge
	signature, seal        prometheus.Observer
	seals                  *prometheus.CounterVec
	checkpoint             prometheus.Observer
	checkpoints            *prometheus.CounterVec
	checkpointed           prometheus.Gauge
	signatures             prometheus.Counter

	state atomic.Pointer[func() JournalState]
}

// JournalState is what a scrape asks of the journal.
type JournalState struct {
	Available   bool  // it can be written
	LastSeq     int64 // of the newest record
	FirstSeq    int64 // of the oldest one that was not pruned
	AckedSeq    int64 // up to where a collector has them
	SealedFiles int
	SealedBytes int64
	HighWater   bool // the disk that it takes is above the mark
}

func newJournal(d *definer, signatures prometheus.Counter) *Journal {
	storage := d.counter("storage_operations_total", "Operations made durable, and commits.", "operation", "backend")
	j := &Journal{
		commit:     d.histogram("journal_commit_duration_seconds", "One commit of the journal, fsync included.", commitBuckets()).WithLabelValues(),
		group:      d.histogram("journal_group_size", "Intents and records in one commit.", prometheus.ExponentialBuckets(1, 2, 11)).WithLabelValues(),
		begins:     storage.WithLabelValues("begin", "bbolt"),
		appends:    storage.WithLabelValues("append", "bbolt"),
		commits:    storage.WithLabelValues("commit", "bbolt"),
		failed:     d.counter("journal_commit_failures_total", "Commits that failed; who waited for them was refused.").WithLabelValues(),
		pending:    d.gauge("journal_pending", "Operations that wait for the next commit.").WithLabelValues(),
		intents:    d.gauge("journal_open_intents", "Exchanges begun and not finished.").WithLabelValues(),
		size:       d.gauge("journal_bytes", "Size of the journal's file, the reserve included.").WithLabelValues(),
		signature:  d.histogram("signature_duration_seconds", "One signature.", signatureBuckets(), "operation").WithLabelValues("sign"),
		signatures: signatures,

		checkpoint:   d.histogram("journal_checkpoint_duration_seconds", "One checkpoint of the chain, fsync included; no commit waits for it.", commitBuckets()).WithLabelValues(),
		checkpoints:  d.counter("journal_checkpoints_total", "Checkpoints of the chain. One that fails leaves what follows the one before without.", "result"),
		checkpointed: d.gauge("journal_checkpoint_seq", "Sequence number of the newest checkpoint since the start; what follows it could be cut off unseen.").WithLabelValues(),
	}
	j.seal = d.histogram("journal_seal_duration_seconds", "Moving records into one sealed file.", commitBuckets()).WithLabelValues()
	j.seals = d.counter("journal_seals_total", "Sealed files made; after a failure the records stay in the database.", "result")
	j.probe(d, "journal_available", "1 while egress may go, 0 while the journal cannot be written and all is denied.", func(s JournalState) int64 { return one(s.Available) })
	j.probe(d, "journal_last_seq", "Sequence number of the last record.", func(s JournalState) int64 { return s.LastSeq })
	j.probe(d, "journal_first_seq", "Sequence number of the oldest record that was not pruned.", func(s JournalState) int64 { return s.FirstSeq })
	j.probe(d, "journal_acked_seq", "Sequence number up to which a collector has acknowledged the chain; 0 for nothing.", func(s JournalState) int64 { return s.AckedSeq })
	j.probe(d, "journal_sealed_files", "Sealed files in the data directory.", func(s JournalState) int64 { return int64(s.SealedFiles) })
	j.probe(d, "journal_sealed_bytes", "Size of the sealed files.", func(s JournalState) int64 { return s.SealedBytes })
	j.probe(d, "journal_high_water", "1 while the journal takes more disk than journal.high_water.", func(s JournalState) int64 { return one(s.HighWater) })
	return j
}

func (j *Journal) probe(d *definer, name, help string, value func(JournalState) int64) {
	d.probe(name, help, func() float64 {
		if f := j.state.Load(); f != nil {
			return float64(value((*f)()))
		}
		return 0
	})
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// Watch asks for the state at each scrape. Until then the journal counts as
// unavailable.
func (j *Journal) Watch(state func() JournalState) { j.state.Store(&state) }

// Committed measures a commit.
func (j *Journal) Committed(c Commit) {
	j.commit.Observe(c.Took.Seconds())
	j.pending.Set(float64(c.Pending))
	j.intents.Set(float64(c.Open))
	j.size.Set(float64(c.Bytes))
	if c.Err != nil {
		j.failed.Inc()
		return
	}
	j.group.Observe(float64(c.Intents + c.Records))
	j.commits.Inc()
	j.begins.Add(float64(c.Intents))
	j.appends.Add(float64(c.Records))
}

// Checkpointed measures a checkpoint of the chain up to seq.
func (j *Journal) Checkpointed(seq int64, took time.Duration, err error) {
	j.checkpoints.WithLabelValues(result(err)).Inc()
	if err == nil {
		j.checkpoint.Observe(took.Seconds())
		j.checkpointed.Set(float64(seq))
	}
}

// Signed measures a signature.
func (j *Journal) Signed(took time.Duration) {
	j.signature.Observe(took.Seconds())
	j.signatures.Inc()
}

// Sealed measures the making of a sealed file.
func (j *Journal) Sealed(took time.Duration, err error) {
	j.seal.Observe(took.Seconds())
	j.seals.WithLabelValues(result(err)).Inc()
}

// Policy tells which policy is in force.
type Policy struct {
	info   *prometheus.GaugeVec
	loads  *prometheus.CounterVec
	failed prometheus.Gauge
	loaded prometheus.Gauge
}

func newPolicy(d *definer) *Policy {
	return &Policy{
		info:   d.gauge("policy_info", "Always 1; the policy in force.", "version", "mode"),
		failed: d.gauge("policy_reload_failed", "1 while the newest policy or configuration could not be used and the one before is in force.").WithLabelValues(),
		loads:  d.counter("policy_loads_total", "Policies read; a failed one leaves the old one in force.", "result"),
		loaded: d.gauge("policy_loaded_timestamp_seconds", "When the policy in force was read, in seconds since 1970.").WithLabelValues(),
	}
}

// Loaded tells that a policy is in force since at.
func (p *Policy) Loaded(version, mode string, at time.Time) {
	p.info.Reset()
	p.info.WithLabelValues(version, mode).Set(1)
	p.loaded.Set(float64(at.UnixMilli()) / 1000)
	p.loads.WithLabelValues(result(nil)).Inc()
	p.failed.Set(0)
}

// LoadFailed tells that a policy could not be used.
func (p *Policy) LoadFailed(err error) {
	p.loads.WithLabelValues(result(err)).Inc()
	p.failed.Set(1)
}

// Current tells that the newest files are in force after all.
func (p *Policy) Current() { p.failed.Set(0) }
