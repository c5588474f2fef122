package metrics

import (
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Collector is one collector's measurements. Tenants are no label: there may be
// thousands of them, and the store knows what each has sent.
type Collector struct {
	streams             prometheus.Gauge
	committed, repeated prometheus.Counter
	commit              prometheus.Observer
	refused, alarms     *prometheus.CounterVec
	gaps, faults        prometheus.Counter
	logged, stuck       prometheus.Counter
	waiting             prometheus.Gauge
	witnessed           *prometheus.CounterVec
	unwitnessed         *prometheus.GaugeVec
	oldest              atomic.Int64 // when the oldest record that waits was received, in milliseconds since 1970; 0: none waits
	unread              prometheus.Counter
	answers             *prometheus.CounterVec
	answer              *prometheus.HistogramVec
	redisUp             prometheus.Gauge
	redis               *prometheus.CounterVec
	hits, misses        *prometheus.CounterVec
	rejected            prometheus.Counter

	registry    *prometheus.Registry
	definitions []Definition
}

// NewCollector makes the metrics of a collector of the given version.
func NewCollector(build string) *Collector {
	d := &definer{registry: prometheus.NewRegistry()}
	records := d.counter("ingest_records_total", "Records that sidecars sent: committed now, or stored before and acknowledged again.", "result")
	c := &Collector{
		streams:   d.gauge("ingest_streams_open", "Streams of sidecars that are open now.").WithLabelValues(),
		committed: records.WithLabelValues("committed"),
		repeated:  records.WithLabelValues("repeated"),
		commit:    d.histogram("ingest_commit_duration_seconds", "One transaction of a batch, its commit included.", commitBuckets()).WithLabelValues(),
		refused:   d.counter("ingest_refused_total", "Messages of sidecars that were refused.", "code"),
		gaps:      d.counter("ingest_gaps_total", "Batches that were not taken, since records before them are missing.").WithLabelValues(),
		unread:    d.counter("ingest_unread_total", "Connections that were cut, since their sidecar does not read the answers.").WithLabelValues(),
		alarms:    d.counter("alarms_total", "Alarms that were raised and were not open before.", "kind"),
		faults:    d.counter("panics_total", "Streams and calls that a fault in the collector ended; each is a bug.").WithLabelValues(),
		logged:    d.counter("log_records_total", "Records that were taken into their tenants' logs.").WithLabelValues(),
		stuck:     d.counter("log_failures_total", "Times that a log did not grow; its records stay queued.").WithLabelValues(),
		answers:   d.counter("api_answers_total", "Answers of the HTTP API.", "endpoint", "status_code"),
		answer:    d.histogram("api_answer_duration_seconds", "From a request of the HTTP API to the end of its answer.", lookupBuckets(), "endpoint"),
		redisUp:   d.gauge("redis_available", "1 while Redis answers; 0 while it does not, or where there is none.").WithLabelValues(),
		redis:     d.counter("redis_questions_total", "What Redis was asked. A take that it did not answer was taken from this replica's own budget.", "question", "outcome"),
		hits:      d.counter("cache_hits_total", "Look-ups of a receipt by its id that a cache answered.", "cache_type"),
		misses:    d.counter("cache_misses_total", "Look-ups of a receipt by its id that a cache could not answer.", "cache_type"),
		rejected:  d.counter("cache_rejected_total", "Values in Redis that no replica has written for the receipt; the store was asked instead.").WithLabelValues(),
	}
	c.waiting = d.gauge("log_queue_records", "Records that wait for their tenants' logs, those of a tenant's first thousand batches. Every replica looks every ten seconds, and sees all.").WithLabelValues()
	d.probe("log_queue_age_seconds", "How long the oldest of those has waited; up to ten seconds too much. 0 where none waits.", c.queueAge)
	c.witnessed = d.counter("log_witness_answers_total", "What witnesses made of the logs' checkpoints. Inconsistent: the witness knows another history of the log.", "witness", "outcome")
	c.unwitnessed = d.gauge("log_unwitnessed_seconds", "How long the log waits that has waited the longest for a witness to cosign what is new in it; 0 where none waits.", "witness")
	d.gauge("build_info", "Always 1; what is running.", "version", "go_version").WithLabelValues(build, runtime.Version()).Set(1)
	d.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	c.registry, c.definitions = d.registry, d.definitions
	return c
}

// Handler serves the metrics to Prometheus.
func (c *Collector) Handler() http.Handler {
	return promhttp.HandlerFor(c.registry, promhttp.HandlerOpts{Registry: c.registry, EnableOpenMetrics: true})
}

// Definitions lists the collector's own metrics in the order of their making.
func (c *Collector) Definitions() []Definition { return c.definitions }

// Stream tells that a sidecar's stream was opened, or closed.
func (c *Collector) Stream(open bool) {
	if open {
		c.streams.Inc()
		return
	}
	c.streams.Dec()
}

// Committed tells of a batch's new records and their transaction.
func (c *Collector) Committed(records int, took time.Duration) {
	c.committed.Add(float64(records))
	c.commit.Observe(took.Seconds())
}

// Repeated tells of records that were stored before.
func (c *Collector) Repeated(records int) { c.repeated.Add(float64(records)) }

// Refused tells of a message that was refused, by the protocol's code.
func (c *Collector) Refused(code string) { c.refused.WithLabelValues(code).Inc() }

// Gap tells of a batch with records missing before it.
func (c *Collector) Gap() { c.gaps.Inc() }

// Unread tells of a connection that was cut, since its sidecar reads no answers.
func (c *Collector) Unread() { c.unread.Inc() }

// Alarm tells of an alarm that was not open before.
func (c *Collector) Alarm(kind string) { c.alarms.WithLabelValues(kind).Inc() }

// Fault tells of a stream or call that a fault ended.
func (c *Collector) Fault() { c.faults.Inc() }

// Logged tells of records that were taken into a log.
func (c *Collector) Logged(records int) { c.logged.Add(float64(records)) }

// LogFailed tells of a log that did not grow.
func (c *Collector) LogFailed() { c.stuck.Inc() }

// LogQueue tells what waits for the logs of all tenants: how many records, and when
// the oldest was received.
func (c *Collector) LogQueue(records int64, oldest time.Time) {
	c.waiting.Set(float64(records))
	if records == 0 {
		c.oldest.Store(0)
		return
	}
	c.oldest.Store(oldest.UnixMilli())
}

// queueAge is that at the time of the scrape: it rises where nobody looks any more.
func (c *Collector) queueAge() float64 {
	oldest := c.oldest.Load()
	if oldest == 0 {
		return 0
	}
	return max(time.Since(time.UnixMilli(oldest)).Seconds(), 0)
}

// Witnessed tells what a witness, one of the configuration's, made of a checkpoint:
// cosigned, inconsistent, refused or unanswered.
func (c *Collector) Witnessed(witness, outcome string) {
	c.witnessed.WithLabelValues(witness, outcome).Inc()
}

// Unwitnessed tells how long the log waits for a witness that waits the longest.
func (c *Collector) Unwitnessed(witness string, waits time.Duration) {
	c.unwitnessed.WithLabelValues(witness).Set(waits.Seconds())
}

// Answered tells of an answer of the HTTP API; endpoint is one of its own.
func (c *Collector) Answered(endpoint string, status int, took time.Duration) {
	c.answers.WithLabelValues(endpoint, strconv.Itoa(status)).Inc()
	c.answer.WithLabelValues(endpoint).Observe(took.Seconds())
}

// RedisAvailable tells that Redis answers, or that it no longer does.
func (c *Collector) RedisAvailable(yes bool) {
	if yes {
		c.redisUp.Set(1)
		return
	}
	c.redisUp.Set(0)
}

// Redis tells of a question to Redis and what came of it.
func (c *Collector) Redis(question, outcome string) {
	c.redis.WithLabelValues(question, outcome).Inc()
}

// CacheHit tells of a look-up that a cache answered.
func (c *Collector) CacheHit(cache string) { c.hits.WithLabelValues(cache).Inc() }

// CacheMiss tells of one that it could not answer.
func (c *Collector) CacheMiss(cache string) { c.misses.WithLabelValues(cache).Inc() }

// CacheRejected tells of a cached value that is none of the collector's.
func (c *Collector) CacheRejected() { c.rejected.Inc() }

// CollectorMeanings is Meanings for the collector's labels.
func CollectorMeanings() map[string]string {
	return map[string]string{
		"cache_type":  "`memory` (this replica's), `redis`",
		"code":        "`INVALID`, `FORK`, `IDENTITY`, `TOO_LARGE`, `RATE_LIMITED`, `ROLLBACK`, `QUOTA`",
		"endpoint":    "an endpoint of the API, as openapi.yaml names it",
		"go_version":  "of the Go toolchain",
		"kind":        "`fork`, `rollback`, `gap`, `silent`, `clock`, `invalid`, `quota`, `witness`",
		"outcome":     "of a question to Redis: `answered`, `failed`, `skipped` (it had failed before, and is left alone for a while); of a witness: `cosigned`, `inconsistent`, `refused`, `unanswered`",
		"question":    "`take` (from a budget), `get` and `set` (a cached receipt), `ping` (at the start)",
		"result":      "`committed`, `repeated`",
		"status_code": "of the answer",
		"version":     "of the program",
		"witness":     "the name of a witness of the configuration",
	}
}
