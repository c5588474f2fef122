package metrics

import "github.com/prometheus/client_golang/prometheus"

// Ship measures what is shipped to a collector. It implements ship.Observer.
type Ship struct {
	connected prometheus.Gauge
	records   prometheus.Counter
	failures  *prometheus.CounterVec
}

func newShip(d *definer) *Ship {
	return &Ship{
		connected: d.gauge("ship_connected", "1 while a stream to the collector is open.").WithLabelValues(),
		records:   d.counter("ship_records_total", "Records that the collector has acknowledged.").WithLabelValues(),
		failures:  d.counter("ship_failures_total", "Streams to the collector that ended, and why.", "cause"),
	}
}

// Connected notes whether a stream is open.
func (s *Ship) Connected(up bool) {
	if up {
		s.connected.Set(1)
		return
	}
	s.connected.Set(0)
}

// Acked counts records that were acknowledged.
func (s *Ship) Acked(_, records int64) { s.records.Add(float64(records)) }

// Failed counts a stream that ended.
func (s *Ship) Failed(reason string) { s.failures.WithLabelValues(reason).Inc() }
