package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Payload counts what contracts make of bodies. Names of contracts, rules and
// facts are the operator's.
type Payload struct {
	checks, violations *prometheus.CounterVec
	stages, transforms *prometheus.HistogramVec
	repairs, fallbacks *prometheus.CounterVec
	units              *prometheus.CounterVec
	captures, lookups  *prometheus.CounterVec

	held atomic.Pointer[func() int64]
}

func newPayload(d *definer) *Payload {
	p := &Payload{
		checks:     d.counter("contract_checks_total", "Bodies that were held to a contract, by what became of them.", "contract", "reason"),
		violations: d.counter("invariant_violations_total", "Rules of contracts that did not hold.", "contract", "rule"),
		stages:     d.histogram("contract_stage_duration_seconds", "One stage of an inspection; `read` waits for the agent.", inspectionBuckets(), "stage"),
		transforms: d.histogram("transform_duration_seconds", "A body through its contract, without the wait for it: all stages but `read`.", inspectionBuckets(), "source_type", "target_type"),
		repairs:    d.counter("repairs_total", "Malformed bodies that a contract lets be repaired, by how and whether they were.", "method", "result"),
		fallbacks:  d.counter("fallback_used_total", "Bodies that a model was asked to repair, by the reason that led there.", "tenant", "reason"),
		units:      d.counter("fallback_units_total", "Model tokens spent on repair.", "tenant"),
		captures:   d.counter("facts_captured_total", "Answers that facts were to be remembered of.", "contract", "result"),
		lookups:    d.counter("fact_lookups_total", "Originals looked for among the facts.", "fact", "result"),
	}
	d.probe("inspection_bytes_held", "Bytes of bodies that are held for inspection now.", func() float64 {
		if held := p.held.Load(); held != nil {
			return float64((*held)())
		}
		return 0
	})
	return p
}

// inspectionBuckets reach from a small body to a model that repairs.
func inspectionBuckets() []float64 { return prometheus.ExponentialBuckets(.000005, 4, 12) }

// WatchBudget has the bytes that are held for inspection asked for at each scrape.
func (p *Payload) WatchBudget(held func() int64) { p.held.Store(&held) }

// Checked counts a body; reason is ok or why it was refused.
func (p *Payload) Checked(contract, reason string) { p.checks.WithLabelValues(contract, reason).Inc() }

// Violated counts a rule that did not hold.
func (p *Payload) Violated(contract, rule string) { p.violations.WithLabelValues(contract, rule).Inc() }

// Stage counts a stage of an inspection.
func (p *Payload) Stage(stage string, took time.Duration) {
	p.stages.WithLabelValues(stage).Observe(took.Seconds())
}

// Transformed counts a body that went through, whether it was changed or not.
func (p *Payload) Transformed(sourceType, targetType string, took time.Duration) {
	p.transforms.WithLabelValues(sourceType, targetType).Observe(took.Seconds())
}

// Repaired counts a repair that was tried; method is local or model.
func (p *Payload) Repaired(method string, err error) {
	p.repairs.WithLabelValues(method, result(err)).Inc()
}

// Fallback counts a body that a model was asked about, and the tokens it took.
func (p *Payload) Fallback(tenant, reason string, tokens int64) {
	p.fallbacks.WithLabelValues(tenant, reason).Inc()
	p.units.WithLabelValues(tenant).Add(float64(tokens))
}

// Captured counts an answer that facts were to be taken of.
func (p *Payload) Captured(contract string, err error) {
	p.captures.WithLabelValues(contract, result(err)).Inc()
}

// LookedUp counts a look-up; outcome is ok, missing or failed.
func (p *Payload) LookedUp(fact, outcome string) { p.lookups.WithLabelValues(fact, outcome).Inc() }
