package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Exchange is what is counted of one exchange, once, when it is settled. Host is
// the pattern of the rule that matched, "" where none did.
type Exchange struct {
	Tenant, APIKey          string
	PayloadType, TargetType string
	Host                    string
	Method                  string
	Endpoint                string   // http, connect or inner
	Reason                  string   // reason code; ok
	Denied                  bool     // Signet refused it
	Patterns                []string // names of the patterns that flagged it
	Hop                     int64    // place in its trace; 0: no receipt could be written
	Status                  int      // of the upstream's answer; 0 none
	Total                   time.Duration
	Carried                 time.Duration // from the intent to the end of the answer; 0: nothing was forwarded
}

// Exchanges counts exchanges.
type Exchanges struct {
	exchanges, denied, policyDenied, forwarded, receipts *prometheus.CounterVec
	request, forward                                     *prometheus.HistogramVec
	suspicious, limited                                  *prometheus.CounterVec
	panics                                               prometheus.Counter
}

func newExchanges(d *definer) *Exchanges {
	return &Exchanges{
		exchanges:    d.counter("exchanges_total", "Exchanges that have a receipt.", "tenant", "api_key", "payload_type", "target_type"),
		denied:       d.counter("denied_total", "Exchanges that were refused, whatever the reason.", "reason", "tenant", "host"),
		policyDenied: d.counter("policy_denied_total", "Exchanges that have a HEL_ reason: what they wanted is not allowed; report mode carries some of them all the same.", "reason", "host", "tenant"),
		forwarded:    d.counter("forward_total", "Exchanges that were forwarded upstream, by the answer.", "host", "status_code"),
		receipts:     d.counter("receipt_created_total", "Receipts made, by their place in the trace.", "tenant", "hop"),
		request:      d.histogram("request_duration_seconds", "From a request's arrival to the end of its answer.", answerBuckets(), "method", "endpoint"),
		forward:      d.histogram("forward_duration_seconds", "From the durable intent to the end of the upstream's answer.", answerBuckets(), "host"),
		suspicious:   d.counter("suspicious_requests_total", "Exchanges that a pattern of the policy has flagged.", "pattern", "tenant"),
		limited:      d.counter("rate_limited_total", "Exchanges and tunnels that a limit of the policy has refused or ended.", "tenant", "limit_type"),
		panics:       d.counter("panics_total", "Exchanges that a fault in Signet ended; each is a bug.").WithLabelValues(),
	}
}

// Settled counts an exchange.
func (e *Exchanges) Settled(x Exchange) {
	pattern := host(x.Host)
	e.request.WithLabelValues(method(x.Method), x.Endpoint).Observe(x.Total.Seconds())
	if x.Hop > 0 {
		e.exchanges.WithLabelValues(x.Tenant, x.APIKey, x.PayloadType, x.TargetType).Inc()
		e.receipts.WithLabelValues(x.Tenant, hop(x.Hop)).Inc()
	}
	for _, pattern := range x.Patterns {
		e.suspicious.WithLabelValues(pattern, x.Tenant).Inc()
	}
	if x.Denied {
		e.denied.WithLabelValues(x.Reason, x.Tenant, pattern).Inc()
	}
	if strings.HasPrefix(x.Reason, "HEL_") {
		e.policyDenied.WithLabelValues(x.Reason, pattern, x.Tenant).Inc()
	}
	if x.Carried > 0 {
		e.forwarded.WithLabelValues(pattern, status(x.Status)).Inc()
		e.forward.WithLabelValues(pattern).Observe(x.Carried.Seconds())
	}
}

// Limited counts what a limit has refused or ended. limit is requests, concurrent,
// tunnels, request_bytes, response_bytes or tunnel_lifetime.
func (e *Exchanges) Limited(tenant, limit string) { e.limited.WithLabelValues(tenant, limit).Inc() }

// Panicked counts an exchange that a panic ended.
func (e *Exchanges) Panicked() { e.panics.Inc() }

// Tunnels counts connections that are carried as such.
type Tunnels struct {
	open     *prometheus.GaugeVec
	total    *prometheus.CounterVec
	up, down prometheus.Counter
}

func newTunnels(d *definer) *Tunnels {
	bytes := d.counter("tunnel_bytes_total", "Bytes carried through opaque tunnels and upgraded connections.", "direction")
	return &Tunnels{
		open:  d.gauge("tunnels_open", "Tunnels that are open now.", "mode"),
		total: d.counter("tunnels_total", "Tunnels opened.", "mode"),
		up:    bytes.WithLabelValues("up"),
		down:  bytes.WithLabelValues("down"),
	}
}

// Opened counts a tunnel until closed is called. mode is opaque, intercept or
// websocket.
func (t *Tunnels) Opened(mode string) (closed func()) {
	open := t.open.WithLabelValues(mode)
	open.Inc()
	t.total.WithLabelValues(mode).Inc()
	return open.Dec
}

// Carried adds the bytes of a tunnel.
func (t *Tunnels) Carried(up, down int64) {
	t.up.Add(float64(up))
	t.down.Add(float64(down))
}
