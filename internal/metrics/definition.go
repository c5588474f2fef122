package metrics

import "github.com/prometheus/client_golang/prometheus"

// Definition is a metric as documentation has it.
type Definition struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []string
	Help   string
}

const namespace = "signet"

// definer makes, registers and remembers metrics. Registering the same name
// twice is a mistake of this package, and panics in every test.
type definer struct {
	registry    *prometheus.Registry
	definitions []Definition
}

func (d *definer) define(kind, name, help string, labels []string, c prometheus.Collector) {
	d.registry.MustRegister(c)
	d.definitions = append(d.definitions, Definition{Name: namespace + "_" + name, Type: kind, Labels: labels, Help: help})
}

func (d *definer) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	d.define("counter", name, help, labels, v)
	return v
}

func (d *definer) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	d.define("gauge", name, help, labels, v)
	return v
}

// probe is a gauge that is asked for its value at each scrape.
func (d *definer) probe(name, help string, value func() float64) {
	d.define("gauge", name, help, nil, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value))
}

func (d *definer) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	d.define("histogram", name, help, labels, v)
	return v
}

// The buckets, in seconds, follow what they are for: an answer takes from a
// millisecond to the ten minutes that a model may think; a lookup up to its
// timeout; a commit is mostly one fsync; a signature is some ten microseconds.
func answerBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 600}
}

func lookupBuckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
}

func commitBuckets() []float64 { return prometheus.ExponentialBuckets(.0001, 2, 14) }

func signatureBuckets() []float64 { return prometheus.ExponentialBuckets(.00001, 2, 12) }
