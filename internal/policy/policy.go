// Package policy is the Host Egress List: the parser of request targets, the
// compiler of policy files, and the decision whether a request may go. It is
// pure: nothing here reads a file, a clock or the network.
package policy

import (
	"net/netip"
	"slices"
)

// Mode says what a denial by a rule does.
type Mode string

// The modes. The zero Mode is none.
const (
	Enforce Mode = "enforce" // deny
	Report  Mode = "report"  // carry, and record what would have been denied
)

// Policy is compiled and immutable; it can be used by any number of goroutines.
// The policy of no files denies everything.
type Policy struct {
	mode        Mode
	rules       []*rule
	allow       hostIndex
	deny        hostIndex
	suspicious  []suspicious
	agentLimits *Limits
	holes       []netip.Prefix
	intercept   []string
}

// Request is what a decision is about.
type Request struct {
	Target Target
	Method string
	Agent  string
	Tunnel bool // CONNECT: Method and the target's path are not known yet
}

// Decision is the answer, a value.
type Decision struct {
	Allowed   bool
	Reason    Reason
	Rule      string // of rule, deny entry or pattern: what decided, or came nearest to allowing; "" where no rule knows the host
	Mode      Mode
	Intercept bool     // a CONNECT that goes on is to be terminated, and each request in it decided again
	Pattern   string   // the rule's host pattern that matched, a bounded label for metrics; "" where none did
	Opaque    bool     // a tunnel that goes on may carry something else than TLS
	DenyECH   bool     // a tunnel whose ClientHello may hide its server name is to be refused
	Flags     []string // names of the patterns that only flag and matched, where the request goes on; nil for none
	Limits    *Limits  // of the rule that allows; nil where none does, and where it has none
}

// Carries tells whether the request goes on: it is allowed, or the policy only
// reports what its rules would deny.
func (d Decision) Carries() bool {
	return d.Allowed || d.Mode == Report && d.Reason.relaxed()
}

// Mode is the policy's mode.
func (p *Policy) Mode() Mode { return p.mode }

// AgentLimits bound what each agent uses over all rules; nil where the policy has
// none.
func (p *Policy) AgentLimits() *Limits { return p.agentLimits }

// Holes are the operator's address ranges that may be dialled although they are
// special (addresses.allow).
func (p *Policy) Holes() []netip.Prefix { return slices.Clone(p.holes) }

// InterceptedHosts are the host patterns of all rules that intercept, sorted:
// names, *.name, **.name, and literals without brackets.
func (p *Policy) InterceptedHosts() []string { return slices.Clone(p.intercept) }

// Decide asks the deny list, then the rules, then the patterns. A rule allows
// what passes all its layers; of the rules that fail, the one that came furthest
// gives the reason.
func (p *Policy) Decide(r *Request) Decision {
	denied := Decision{Mode: p.mode, Reason: HostDenied}
	first := -1
	p.deny.each(&r.Target, func(entries []entry) {
		for _, e := range entries {
			if first < 0 || e.rule.index < first {
				first, denied.Rule, denied.Pattern = e.rule.index, e.rule.name, e.pattern
			}
		}
	})
	if first >= 0 {
		if denied.Carries() {
			denied.suspect(p.suspicious, &r.Target)
		}
		return denied
	}
	best, found := finding{layer: atHost}, false
	intercept, denyECH := false, false
	p.allow.each(&r.Target, func(entries []entry) {
		for _, e := range entries {
			f := finding{layer: e.rule.reaches(r), entry: e}
			if f.layer == passed {
				intercept = intercept || e.rule.intercept
				denyECH = denyECH || e.rule.denyECH
			}
			if f.layer > atHost && (!found || f.beats(best)) {
				best, found = f, true
			}
		}
	})
	d := Decision{Mode: p.mode, Reason: best.layer.reason(), Pattern: best.pattern}
	if found {
		d.Rule = best.rule.name
	}
	if best.layer == passed {
		d.Allowed, d.Intercept, d.Limits = true, r.Tunnel && intercept, best.rule.limits
		d.Opaque, d.DenyECH = best.rule.opaque && !intercept && !denyECH, denyECH
	}
	if d.Carries() {
		d.suspect(p.suspicious, &r.Target)
	}
	return d
}

// finding is how far a request came with one entry.
type finding struct {
	entry
	layer layer
}

// beats prefers the further layer, then the earlier rule, then, in one rule, the
// more specific pattern, which is visited later.
func (f finding) beats(other finding) bool {
	if f.layer != other.layer {
		return f.layer > other.layer
	}
	return f.rule.index <= other.rule.index
}
