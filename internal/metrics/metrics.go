// Package metrics defines what Signet measures. All of it is under signet_, in a
// registry of its own; docs/metrics.md lists it.
//
// Label values come from closed sets, or from the operator's configuration, so
// that no peer can grow a series. The methods take what the other packages have
// and do the bounding, so that callers cannot get it wrong.
package metrics

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is one sidecar's measurements. Each part fits the observer interface of
// the package that it measures, or takes plain values.
type Metrics struct {
	Exchanges *Exchanges
	Tunnels   *Tunnels
	Intercept *Intercept
	Resolver  *Resolver
	Upstream  *Upstream
	Journal   *Journal
	Policy    *Policy
	Payload   *Payload
	Ship      *Ship

	// Registry is for the collectors of other packages, and for tests.
	Registry *prometheus.Registry

	definitions []Definition
}

// New makes the metrics of a program of the given version.
func New(build string) *Metrics {
	d := &definer{registry: prometheus.NewRegistry()}
	hits := d.counter("cache_hits_total", "Look-ups that a cache answered.", "cache_type")
	misses := d.counter("cache_misses_total", "Look-ups that a cache could not answer.", "cache_type")
	operations := d.counter("crypto_operations_total", "Signatures made and certificates minted.", "operation", "key_type")
	m := &Metrics{
		Exchanges: newExchanges(d),
		Tunnels:   newTunnels(d),
		Intercept: newIntercept(d, hits.WithLabelValues("leaf"), misses.WithLabelValues("leaf"), operations.WithLabelValues("mint", "p256")),
		Resolver:  newResolver(d, hits.WithLabelValues("pin"), misses.WithLabelValues("pin")),
		Upstream:  newUpstream(d),
		Journal:   newJournal(d, operations.WithLabelValues("sign", "ed25519")),
		Policy:    newPolicy(d),
		Payload:   newPayload(d),
		Ship:      newShip(d),
	}
	d.gauge("build_info", "Always 1; what is running.", "version", "go_version").WithLabelValues(build, runtime.Version()).Set(1)
	d.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.Registry, m.definitions = d.registry, d.definitions
	return m
}

// Handler serves the metrics to Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{Registry: m.Registry, EnableOpenMetrics: true})
}

// Definitions lists Signet's own metrics in the order of their making.
func (m *Metrics) Definitions() []Definition { return m.definitions }
