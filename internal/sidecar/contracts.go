package sidecar

import (
	"context"
	"errors"
	"time"

	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/internal/payload"
	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/invariants/facts"
	"github.com/signet-egress/signet/proxy"
	"github.com/signet-egress/signet/receipts"
)

// contracts are the payload contracts as the proxy sees them.
type contracts struct {
	set       *payload.Set
	inspector *payload.Inspector
}

// Contract implements proxy.Contracts.
func (c contracts) Contract(r *policy.Request) proxy.Contract {
	if found := c.set.For(r); found != nil {
		return contract{found, c.inspector}
	}
	return nil
}

type contract struct {
	*payload.Contract
	inspector *payload.Inspector
}

// Terms implements proxy.Contract.
func (c contract) Terms() proxy.Terms {
	t := proxy.Terms{
		Name: c.Name, PayloadType: c.PayloadType, TargetType: c.TargetType, Checks: c.Checks(), Report: c.Report,
	}
	if c.Captures() {
		t.Captures = c.inspector.Limit
	}
	return t
}

// Inspect implements proxy.Contract.
func (c contract) Inspect(ctx context.Context, b *proxy.Body) (*proxy.Inspected, error) {
	result, err := c.inspector.Inspect(ctx, c.Contract, &payload.Request{
		Body: b, Length: b.Length, Encoding: b.Encoding, Type: b.Type, Signed: b.Signed,
		Tenant: b.Tenant, Agent: b.Agent, Trace: b.Trace,
		Method: b.Method, Scheme: b.Target.Scheme, Host: b.Target.Host, Path: b.Target.Path,
	})
	return inspected(result), err
}

// inspected puts a result in the proxy's words, and the receipt's.
func inspected(r *payload.Result) *proxy.Inspected {
	in := &proxy.Inspected{Body: r.Body, Raw: r.Raw, CID: r.CID, FUTokens: r.Tokens, Release: r.Release}
	if refusal := r.Refusal; refusal != nil {
		in.Refusal = &proxy.PayloadRefusal{Reason: refusal.Reason, Detail: refusal.Detail, Err: refusal.Err, Busy: refusal.Busy}
		in.Cut = r.Cut
		for _, v := range refusal.Violations {
			in.Violations = append(in.Violations, v.RuleID)
		}
	}
	for _, f := range r.Facts {
		in.Facts = append(in.Facts, receipts.Fact(f))
	}
	if m := r.Repair; m != nil {
		in.Repair = &receipts.Repair{Method: m.Method, Before: m.Before, After: m.After, Model: m.Model}
		for _, e := range m.Edits {
			in.Repair.Edits = append(in.Repair.Edits, receipts.Edit(e))
		}
	}
	return in
}

// Hold implements proxy.Contract.
func (c contract) Hold(n int) bool { return c.inspector.Budget.Take(int64(n)) }

// Remember implements proxy.Contract.
func (c contract) Remember(ctx context.Context, a *proxy.Answer) error {
	return c.inspector.Remember(ctx, c.Contract, &payload.Answer{
		Body: a.Body, Encoding: a.Encoding, Tenant: a.Tenant, Agent: a.Agent, Trace: a.Trace, ReceiptID: a.ReceiptID,
	})
}

// openInspector makes what bodies are held to contracts with.
func (s *Sidecar) openInspector() (err error) {
	if s.facts, err = facts.Open(facts.Options{Dir: s.config.Data, Logger: s.log}); err != nil {
		return err
	}
	budget := payload.NewBudget(payload.DefaultBudget)
	s.metrics.Payload.WatchBudget(budget.Used)
	s.inspector = &payload.Inspector{
		Limit: s.config.MaxPayloadSize, Budget: budget, Facts: s.facts, Observer: payloadMetrics{s.config.Tenant, s.metrics.Payload},
	}
	return nil
}

// payloadMetrics observes inspections.
type payloadMetrics struct {
	tenant string
	m      *metrics.Payload
}

// Inspected implements payload.Observer.
func (o payloadMetrics) Inspected(c *payload.Contract, r *payload.Result) {
	reason := policy.OK
	if r.Refusal != nil {
		reason = r.Refusal.Reason
		for _, v := range r.Refusal.Violations {
			o.m.Violated(c.Name, v.RuleID)
		}
	}
	o.m.Checked(c.Name, string(reason))
	var worked time.Duration
	for _, s := range r.Stages {
		o.m.Stage(s.Name, s.Took)
		if s.Name != "read" && s.Name != "repair" { // a repair is part of parse
			worked += s.Took
		}
	}
	o.m.Transformed(c.PayloadType, c.TargetType, worked)
	if r.Tokens > 0 {
		o.m.Fallback(o.tenant, string(policy.PayloadMalformed), r.Tokens)
	}
}

// LookedUp implements payload.Observer.
func (o payloadMetrics) LookedUp(fact string, err error) {
	switch {
	case err == nil:
		o.m.LookedUp(fact, "ok")
	case errors.Is(err, payload.ErrNoOriginal):
		o.m.LookedUp(fact, "missing")
	default:
		o.m.LookedUp(fact, "failed")
	}
}

// Repaired implements payload.Observer.
func (o payloadMetrics) Repaired(method string, err error) { o.m.Repaired(method, err) }

// Remembered implements payload.Observer.
func (o payloadMetrics) Remembered(c *payload.Contract, err error) { o.m.Captured(c.Name, err) }
