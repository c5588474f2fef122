package rollout

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/signet-egress/signet/internal/policy"
)

// Proposal is a policy that allows what was seen. The JSON names are part of the
// contract.
type Proposal struct {
	Exchanges int64     `json:"exchanges"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Rules     []Rule    `json:"rules"`
	Rare      []Rule    `json:"rare"`   // seen fewer than --min times: not in the policy
	Listed    []Rule    `json:"listed"` // on the deny list of the time: not in the policy
	Holes     []Hole    `json:"addresses"`
	Wildcards []Hint    `json:"wildcards"`
	Refused   []Refused `json:"refused"`
	Skipped   Skipped   `json:"skipped"`
	Policy    string    `json:"policy"` // the policy file
}

// Rule is a proposed rule, and what it was made of.
type Rule struct {
	Name      string     `json:"name"`
	Host      string     `json:"host"`
	Ports     []uint16   `json:"ports"`
	Schemes   []string   `json:"schemes"`
	Methods   []string   `json:"methods,omitempty"` // absent: any
	Paths     []SeenPath `json:"paths,omitempty"`   // absent: any
	Intercept bool       `json:"intercept"`
	Opaque    bool       `json:"opaque"` // what need not be TLS
	Times     int64      `json:"times"`
	Last      time.Time  `json:"last"`
	Agents    []ByAgent  `json:"agents"` // the busiest first
	DeniedBy  string     `json:"denied_by,omitempty"`
}

// ByAgent is how often an agent was seen.
type ByAgent struct {
	Agent string `json:"agent"`
	Times int64  `json:"times"`
}

// Hole is an address that needs addresses.allow.
type Hole struct {
	Address netip.Prefix `json:"address"`
	Hosts   []string     `json:"hosts"`
}

// Hint is a wildcard that would stand for several rules.
type Hint struct {
	Pattern string   `json:"pattern"`
	Hosts   []string `json:"hosts"`
}

// Refused is what was not carried, and is not proposed.
type Refused struct {
	Host   string        `json:"host"`
	Reason policy.Reason `json:"reason"`
	Times  int64         `json:"times"`
}

// Proposal is the policy for what was seen so far.
func (s *Suggestion) Proposal() *Proposal {
	p := &Proposal{
		Exchanges: s.total, First: s.first, Last: s.last, Skipped: s.skipped,
		Rules: []Rule{}, Rare: []Rule{}, Listed: []Rule{}, Holes: []Hole{}, Wildcards: []Hint{}, Refused: []Refused{},
	}
	names := make(map[string]bool)
	seen := s.places()
	for _, where := range slices.SortedFunc(maps.Keys(seen), place.compare) {
		r := seen[where].rule(where)
		r.Name = unique(names, where)
		switch {
		case r.DeniedBy != "":
			p.Listed = append(p.Listed, r)
		case r.Times < s.least:
			p.Rare = append(p.Rare, r)
		default:
			p.Rules = append(p.Rules, r)
		}
	}
	p.Holes = append(p.Holes, s.proposedHoles(p.Rules)...)
	p.Wildcards = append(p.Wildcards, wildcards(p.Rules)...)
	for _, k := range slices.SortedFunc(maps.Keys(s.refusal), func(a, b refusal) int {
		return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.reason, b.reason))
	}) {
		p.Refused = append(p.Refused, Refused{k.host, k.reason, s.refusal[k]})
	}
	p.Policy = p.write()
	return p
}

func (g *sighting) rule(where place) Rule {
	r := Rule{
		Host: where.host, Ports: slices.Sorted(maps.Keys(g.ports)), Schemes: slices.Sorted(maps.Keys(g.schemes)), Intercept: where.sight == intercept, Opaque: where.sight == raw,
		Times: g.times, Last: g.last, DeniedBy: g.denyList,
	}
	for agent, times := range g.agents {
		r.Agents = append(r.Agents, ByAgent{agent, times})
	}
	slices.SortFunc(r.Agents, func(a, b ByAgent) int { return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Agent, b.Agent)) })
	if len(g.methods) > 0 && !g.anyVerb {
		r.Methods = slices.Sorted(maps.Keys(g.methods))
	}
	if len(g.methods) > 0 && !g.anyPath {
		r.Paths = g.paths.paths()
	}
	return r
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// unique makes a rule's name of its host.
func unique(taken map[string]bool, where place) string {
	const longest = 48 // leaves room within the 64 bytes of a name
	host := strings.TrimLeft(notInNames.ReplaceAllString(where.host, "-"), "-._")
	host = cmp.Or(host[:min(len(host), longest)], "address")
	name := host
	if taken[name] {
		name += "-" + string(where.sight)
	}
	if taken[name] && where.port != 0 {
		name = fmt.Sprintf("%s-%d", host, where.port)
	}
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%s-%d", host, where.sight, n)
	}
	taken[name] = true
	return name
}

// proposedHoles are those that the proposed rules need.
func (s *Suggestion) proposedHoles(rules []Rule) []Hole {
	var holes []Hole
	for _, a := range slices.SortedFunc(maps.Keys(s.holes), netip.Addr.Compare) {
		var hosts []string
		for _, host := range s.holes[a] {
			if slices.ContainsFunc(rules, func(r Rule) bool { return r.Host == host }) {
				hosts = append(hosts, host)
			}
		}
		if hosts != nil {
			slices.Sort(hosts)
			holes = append(holes, Hole{netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), hosts})
		}
	}
	return holes
}

// wildcards finds names that differ in their first label only, where a wildcard
// over the rest is not over a public suffix.
func wildcards(rules []Rule) []Hint {
	groups := make(map[string][]string)
	for i := range rules {
		host := rules[i].Host
		_, parent, ok := strings.Cut(host, ".")
		suffix, _ := publicsuffix.PublicSuffix(parent)
		if _, err := netip.ParseAddr(host); !ok || err == nil || suffix == parent {
			continue
		}
		if hosts := groups[parent]; !slices.Contains(hosts, host) {
			groups[parent] = append(hosts, host)
		}
	}
	var hints []Hint
	for _, parent := range slices.Sorted(maps.Keys(groups)) {
		if hosts := groups[parent]; len(hosts) >= 3 {
			hints = append(hints, Hint{"*." + parent, hosts})
		}
	}
	return hints
}
