package rollout

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
)

// Replay holds a policy against recorded exchanges, whatever the policy's mode:
// what it would deny counts as denied.
type Replay struct {
	policy  *policy.Policy
	opens   Opens
	result  Comparison
	changes map[change]*Change
}

// Comparison is what a policy would change. The numbers are of exchanges; the
// JSON names are part of the contract.
type Comparison struct {
	Exchanges     int64    `json:"exchanges"`
	Unchanged     int64    `json:"unchanged"`
	Undecided     int64    `json:"undecided"` // opaque tunnels that the policy would look into
	NewlyDenied   int64    `json:"newly_denied"`
	NewlyAllowed  int64    `json:"newly_allowed"`
	Skipped       Skipped  `json:"skipped"`
	PolicyVersion string   `json:"policy_version"`
	Changes       []Change `json:"changes"` // denied ones first, the most frequent of them first
}

// change is what tells one Change from another.
type change struct {
	agent, method, target string
	before                verdict
	now                   policy.Reason
	rule                  string
}

// Change is one thing that agents did and the policy would treat otherwise.
type Change struct {
	Now    string        `json:"now"`    // denied or allowed
	Before string        `json:"before"` // allowed, reported (carried in report mode) or denied
	Reason policy.Reason `json:"reason"` // of the policy, or for what is allowed now of the record
	Rule   string        `json:"rule,omitempty"`
	Agent  string        `json:"agent"`
	Method string        `json:"method"`
	Target string        `json:"target"` // without the query, which is not recorded
	Times  int64         `json:"times"`
	Last   time.Time     `json:"last"`
}

// NewReplay returns a Replay of nothing yet.
func NewReplay(p *policy.Policy, version string, opens Opens) *Replay {
	return &Replay{policy: p, opens: opens, result: Comparison{PolicyVersion: version}, changes: make(map[change]*Change)}
}

// Add decides about one exchange anew.
func (p *Replay) Add(r *receipts.Receipt) {
	x, ok := p.result.Skipped.read(r)
	if !ok {
		return
	}
	p.result.Exchanges += x.times
	d := decide(p.policy, x.request)
	carried := x.verdict == allowed || x.verdict == reported
	if d.Allowed && carried {
		d.Reason = p.connects(&x, &d)
		d.Allowed = d.Reason == policy.OK
	}
	switch {
	case carried && !d.Allowed:
		p.result.NewlyDenied += x.times
		p.change(&x, "denied", d.Reason, d.Rule)
	case d.Allowed && d.Intercept && x.opaque && x.verdict != refused:
		p.result.Undecided += x.times
	case d.Allowed && (x.verdict == denied || x.verdict == reported):
		p.result.NewlyAllowed += x.times
		p.change(&x, "allowed", x.reason, d.Rule)
	default:
		p.result.Unchanged += x.times
	}
}

// connects tells why an exchange that was carried, and that the rules allow,
// would not be: what comes after the rules depends on the policy too.
func (p *Replay) connects(x *exchange, d *policy.Decision) policy.Reason {
	switch {
	case !p.reachable(x):
		return policy.AddressDenied
	case x.raw && !d.Opaque:
		return policy.NotTLS
	case x.ech && d.DenyECH:
		return policy.SNIMismatch
	}
	return policy.OK
}

// reachable tells whether the policy's holes still open what was dialled.
func (p *Replay) reachable(x *exchange) bool {
	return !slices.ContainsFunc(x.addrs, func(a netip.Addr) bool {
		return !p.opens(x.request.Target.Host, a, p.policy.Holes())
	})
}

func (p *Replay) change(x *exchange, now string, reason policy.Reason, rule string) {
	key := change{x.request.Agent, x.request.Method, x.request.Target.String(), x.verdict, reason, rule}
	c := p.changes[key]
	if c == nil {
		c = &Change{Now: now, Before: string(x.verdict), Reason: reason, Rule: rule, Agent: key.agent, Method: key.method, Target: key.target}
		if x.request.Tunnel {
			c.Target = x.request.Target.Authority()
		}
		p.changes[key] = c
	}
	c.Times += x.times
	if x.at.After(c.Last) {
		c.Last = x.at
	}
}

// Result is what was found so far.
func (p *Replay) Result() Comparison {
	result := p.result
	result.Changes = make([]Change, 0, len(p.changes))
	for _, c := range p.changes {
		result.Changes = append(result.Changes, *c)
	}
	slices.SortFunc(result.Changes, func(a, b Change) int {
		return cmp.Or(
			cmp.Compare(b.Now, a.Now), // denied before allowed
			cmp.Compare(b.Times, a.Times), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Agent, b.Agent),
			cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Before, b.Before), cmp.Compare(a.Rule, b.Rule),
		)
	})
	return result
}
