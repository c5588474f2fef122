package sidecar

import (
	"context"

	"github.com/signet-egress/signet/internal/payload"
	"github.com/signet-egress/signet/internal/policy"
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
	in := &proxy.Inspected{Body: r.Body, Raw: r.Raw, CID: r.CID, Release: r.Release}
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
		in.FUTokens = m.Tokens
		in.Repair = &receipts.Repair{Method: m.Method, Before: m.Before, After: m.After, Model: m.Model}
		for _, e := range m.Edits {
			in.Repair.Edits = append(in.Repair.Edits, receipts.Edit(e))
		}
	}
	return in
}

// Remember implements proxy.Contract.
func (c contract) Remember(ctx context.Context, a *proxy.Answer) error {
	return c.inspector.Remember(ctx, c.Contract, &payload.Answer{
		Body: a.Body, Encoding: a.Encoding, Tenant: a.Tenant, Agent: a.Agent, Trace: a.Trace, ReceiptID: a.ReceiptID,
	})
}

// newInspector is what bodies are held to contracts with.
func (s *Sidecar) newInspector() *payload.Inspector {
	return &payload.Inspector{Limit: s.config.MaxPayloadSize, Budget: payload.NewBudget(payload.DefaultBudget)}
}
