package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Intercept counts what interception costs. It is an observer of proxy/mitm.
type Intercept struct {
	hits, misses, mints prometheus.Counter
	leaves, handshakes  *prometheus.CounterVec
}

func newIntercept(d *definer, hits, misses, mints prometheus.Counter) *Intercept {
	return &Intercept{
		hits: hits, misses: misses, mints: mints,
		leaves:     d.counter("leaf_minted_total", "Certificates asked for and not in the cache.", "result"),
		handshakes: d.counter("intercept_handshakes_total", "TLS handshakes with agents in intercepted tunnels.", "result"),
	}
}

// LeafCached counts a look-up of a host's certificate.
func (i *Intercept) LeafCached(hit bool) { looked(hit, i.hits, i.misses) }

// LeafMinted counts a certificate, or the failure to make one.
func (i *Intercept) LeafMinted(err error) {
	i.leaves.WithLabelValues(result(err)).Inc()
	if err == nil {
		i.mints.Inc()
	}
}

// Handshake counts a handshake with an agent.
func (i *Intercept) Handshake(err error) { i.handshakes.WithLabelValues(result(err)).Inc() }

// Resolver counts lookups. It is an observer of the resolver.
type Resolver struct {
	hits, misses    prometheus.Counter
	lookups, denied *prometheus.CounterVec
	took            *prometheus.HistogramVec
	rebound         *prometheus.CounterVec
	queries         *prometheus.CounterVec
	up              *prometheus.GaugeVec
}

func newResolver(d *definer, hits, misses prometheus.Counter) *Resolver {
	return &Resolver{
		hits: hits, misses: misses,
		lookups: d.counter("resolver_lookups_total", "Lookups at the DNS upstreams.", "result"),
		denied:  d.counter("resolver_denied_total", "Names and literals refused for their addresses.", "class"),
		took:    d.histogram("resolver_lookup_duration_seconds", "A lookup with all its tries.", lookupBuckets(), "result"),
		rebound: d.counter("resolver_rebindings_total", "Answers that led from allowed addresses to a refused one, or from public ones through a hole to another; by the class that they led to.", "class", "verdict"),
		queries: d.counter("resolver_queries_total", "Questions put to DNS upstreams, each try of a lookup by itself.", "upstream", "result"),
		up:      d.gauge("resolver_upstream_up", "1 while a DNS upstream is asked in its turn, 0 while it is passed over for not answering.", "upstream"),
	}
}

// Lookup counts a lookup at the upstreams; results are the resolver's closed set.
func (r *Resolver) Lookup(result string, took time.Duration) {
	result = answered(result)
	r.lookups.WithLabelValues(result).Inc()
	r.took.WithLabelValues(result).Observe(took.Seconds())
}

// Cache counts a look-up of a pin.
func (r *Resolver) Cache(hit bool) { looked(hit, r.hits, r.misses) }

// Denied counts a refusal; classes are the resolver's closed set.
func (r *Resolver) Denied(class string) { r.denied.WithLabelValues(class).Inc() }

// Rebound counts rebinding; classes are the resolver's closed set.
func (r *Resolver) Rebound(class string, allowed bool) {
	verdict := "denied"
	if allowed {
		verdict = "allowed"
	}
	r.rebound.WithLabelValues(class, verdict).Inc()
}

// Query counts a question to an upstream; results are the resolver's closed set.
func (r *Resolver) Query(upstream, result string) {
	r.queries.WithLabelValues(upstream, answered(result)).Inc()
}

// Upstream tells whether an upstream is asked in its turn.
func (r *Resolver) Upstream(upstream string, up bool) {
	value := 0.0
	if up {
		value = 1
	}
	r.up.WithLabelValues(upstream).Set(value)
}

func answered(result string) string {
	if result == "answered" {
		return "ok"
	}
	return result
}

// Upstream counts connections to upstreams.
type Upstream struct {
	open  prometheus.Gauge
	total *prometheus.CounterVec
	took  *prometheus.HistogramVec
}

func newUpstream(d *definer) *Upstream {
	return &Upstream{
		open:  d.gauge("upstream_connections_open", "Connections to upstreams that are open now, idle ones included.").WithLabelValues(),
		total: d.counter("upstream_connections_total", "Connections to upstreams tried.", "result"),
		took:  d.histogram("upstream_connect_duration_seconds", "TCP connection and TLS handshake with an upstream.", lookupBuckets(), "result"),
	}
}

// Connected counts an attempt to connect. Without an error the connection counts
// as open until closed is called.
func (u *Upstream) Connected(took time.Duration, err error) (closed func()) {
	u.total.WithLabelValues(result(err)).Inc()
	u.took.WithLabelValues(result(err)).Observe(took.Seconds())
	if err != nil {
		return func() {}
	}
	u.open.Inc()
	return u.open.Dec
}

func looked(hit bool, hits, misses prometheus.Counter) {
	if hit {
		hits.Inc()
	} else {
		misses.Inc()
	}
}
