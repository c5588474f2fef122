package sidecar

import (
	"time"

	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/proxy"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

// ledger is the journal as the proxy sees it.
type ledger struct{ *journal.Journal }

// Finish implements proxy.Journal.
func (l ledger) Finish(r *receipts.Receipt) proxy.Commit { return l.Journal.Finish(r) }

// journalMetrics observes the journal.
type journalMetrics struct{ m *metrics.Metrics }

// Signed implements journal.Observer.
func (o journalMetrics) Signed(took time.Duration) { o.m.Journal.Signed(took) }

// Sealed implements journal.Observer.
func (o journalMetrics) Sealed(took time.Duration, err error) { o.m.Journal.Sealed(took, err) }

// Checkpointed implements journal.Observer.
func (o journalMetrics) Checkpointed(seq int64, took time.Duration, err error) {
	o.m.Journal.Checkpointed(seq, took, err)
}

// Committed implements journal.Observer.
func (o journalMetrics) Committed(c journal.CommitStats) { o.m.Journal.Committed(metrics.Commit(c)) }

// proxyMetrics observes the proxy.
type proxyMetrics struct {
	tenant string
	m      *metrics.Metrics
}

// Settled implements proxy.Observer.
func (o proxyMetrics) Settled(s *proxy.Settled) {
	x := metrics.Exchange{
		Tenant: o.tenant, Host: s.Pattern, Method: s.Method, Endpoint: s.Kind, Reason: string(s.Reason),
		Status: s.Status, Total: s.Total, Carried: s.Carried, Denied: true,
	}
	if r := s.Receipt; r != nil {
		x.APIKey, x.Hop, x.Denied = r.APIKey, r.Hop, r.Outcome == receipts.Denied
	}
	if s.Receipt != nil {
		x.Patterns = s.Receipt.Policy.Flags
		if p := s.Receipt.Detail.Payload; p != nil {
			x.PayloadType, x.TargetType = p.PayloadType, p.TargetType
		}
	}
	o.m.Exchanges.Settled(x)
	if s.BytesUp+s.BytesDown > 0 {
		o.m.Tunnels.Carried(s.BytesUp, s.BytesDown)
	}
}

// TunnelOpened implements proxy.Observer.
func (o proxyMetrics) TunnelOpened(mode string) (closed func()) { return o.m.Tunnels.Opened(mode) }

// Handshake implements proxy.Observer.
func (o proxyMetrics) Handshake(err error) { o.m.Intercept.Handshake(err) }

// Limited implements proxy.Observer.
func (o proxyMetrics) Limited(limit string) { o.m.Exchanges.Limited(o.tenant, limit) }

// Panicked implements proxy.Observer.
func (o proxyMetrics) Panicked() { o.m.Exchanges.Panicked() }
