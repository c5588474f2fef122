package policy

import (
	"fmt"
	"slices"
)

// Unseen says how requests that a selector picks could pass without being seen,
// one sentence each, and what to change: where no rule shows them, and where a
// rule lets them through an opaque tunnel.
func (p *Policy) Unseen(s *Selector) []string {
	var ways []string
	for _, h := range s.rule.hosts {
		if !slices.ContainsFunc(p.rules, func(r *rule) bool { return r.shows(h) }) {
			ways = append(ways, fmt.Sprintf("no rule shows requests to %q: a rule that lists it needs intercept: true, or the scheme http", h.text))
			continue
		}
		for _, r := range p.rules {
			if p.hides(r, h, s.rule.ports) {
				ways = append(ways, fmt.Sprintf("rule %q lets requests to %q through in an opaque tunnel, where nothing of them can be seen: add intercept: true to it", r.name, h.text))
			}
		}
	}
	return ways
}

// shows tells whether requests to every host of a pattern are seen where this
// rule allows them.
func (r *rule) shows(h hostPattern) bool {
	return (r.intercept || r.schemes&plaintext != 0) && r.covers(h)
}

func (r *rule) covers(h hostPattern) bool {
	return slices.ContainsFunc(r.hosts, func(p hostPattern) bool { return p.covers(h) })
}

// hides tells whether the rule opens tunnels to hosts of the pattern that no
// other rule has intercepted. No ports are all ports.
func (p *Policy) hides(r *rule, h hostPattern, ports []uint16) bool {
	if r.intercept || r.schemes&overTLS == 0 {
		return false
	}
	return slices.ContainsFunc(r.hosts, func(g hostPattern) bool {
		if !g.overlaps(h) {
			return false
		}
		both := g
		if g.covers(h) {
			both = h
		}
		return slices.ContainsFunc(r.ports, func(port uint16) bool {
			return (ports == nil || slices.Contains(ports, port)) && !p.intercepts(r, both, port)
		})
	})
}

// intercepts tells whether tunnels that a rule opens to hosts of the pattern are
// intercepted for another rule's sake.
func (p *Policy) intercepts(opener *rule, h hostPattern, port uint16) bool {
	return slices.ContainsFunc(p.rules, func(r *rule) bool {
		return r.intercept && slices.Contains(r.ports, port) && r.covers(h) &&
			(r.agents == nil || opener.agents != nil && !slices.ContainsFunc(opener.agents, func(a string) bool { return !slices.Contains(r.agents, a) }))
	})
}
