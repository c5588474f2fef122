package rollout

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
)

// Suggestion gathers what was carried, and proposes a policy that allows it.
type Suggestion struct {
	least   int64
	opens   Opens
	seen    map[place]*sighting
	refusal map[refusal]int64
	holes   map[netip.Addr][]string // by address, the hosts that were reached there
	skipped Skipped
	total   int64
	first   time.Time
	last    time.Time
}

// sight is how a host was reached, which needs a rule of its own.
type sight string

const (
	tunnel    sight = "tunnel"    // opaque
	intercept sight = "intercept" // TLS that Signet terminated
	plain     sight = "plain"     // http and ws
)

type place struct {
	host  string
	sight sight
}

// sighting is all that was seen of one place.
type sighting struct {
	ports    map[uint16]bool
	schemes  map[string]bool
	methods  map[string]int64
	paths    pathTree
	anyPath  bool // a path was seen that no pattern fits
	anyVerb  bool // a method was seen that no rule can list
	agents   map[string]int64
	times    int64
	last     time.Time
	denyList string // the deny entry that would have denied it
}

type refusal struct {
	host   string
	reason policy.Reason
}

// NewSuggestion returns a Suggestion of nothing yet. Hosts that are seen fewer
// than least times are shown, but not allowed.
func NewSuggestion(least int64, opens Opens) *Suggestion {
	return &Suggestion{least: least, opens: opens, seen: make(map[place]*sighting), refusal: make(map[refusal]int64), holes: make(map[netip.Addr][]string)}
}

// Add counts one exchange.
func (s *Suggestion) Add(r *receipts.Receipt) {
	x, ok := s.skipped.read(r)
	if !ok {
		return
	}
	s.total += x.times
	if s.first.IsZero() || x.at.Before(s.first) {
		s.first = x.at
	}
	if x.at.After(s.last) {
		s.last = x.at
	}
	if x.verdict == denied || x.verdict == refused {
		s.refusal[refusal{x.request.Target.Host, x.reason}] += x.times
		return
	}
	s.at(&x).add(&x)
	for _, a := range x.addrs {
		host := x.request.Target.Host
		if !s.opens(host, a, nil) && !slices.Contains(s.holes[a], host) {
			s.holes[a] = append(s.holes[a], host)
		}
	}
}

// at is the place where an exchange was seen.
func (s *Suggestion) at(x *exchange) *sighting {
	where := place{x.request.Target.Host, intercept}
	switch x.request.Target.Scheme {
	case "http", "ws":
		where.sight = plain
	default:
		if x.opaque {
			where.sight = tunnel
		}
	}
	g := s.seen[where]
	if g == nil {
		g = &sighting{ports: make(map[uint16]bool), schemes: make(map[string]bool), methods: make(map[string]int64), agents: make(map[string]int64)}
		s.seen[where] = g
	}
	return g
}

// listed are methods that a rule can list: tokens in upper case that were not
// cut for the receipt.
var listed = regexp.MustCompile("^[A-Z0-9!#$%&'*+.^_`|~-]{1,31}$")

func (g *sighting) add(x *exchange) {
	q := &x.request
	g.ports[q.Target.Port] = true
	g.schemes[q.Target.Scheme] = true
	g.agents[q.Agent] += x.times
	g.times += x.times
	if x.at.After(g.last) {
		g.last = x.at
	}
	if x.reason == policy.HostDenied {
		g.denyList = x.rule
	}
	if q.Tunnel {
		return
	}
	g.methods[q.Method] += x.times
	g.anyVerb = g.anyVerb || !listed.MatchString(q.Method) || q.Method == http.MethodTrace || q.Method == "TRACK"
	path, ok := q.Target.PlainPath()
	if !ok {
		g.anyPath = true
		return
	}
	g.paths.add(path, x.times)
}

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
	seen := s.oneSight()
	for _, where := range slices.SortedFunc(maps.Keys(seen), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.sight, b.sight))
	}) {
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

// oneSight leaves for each host either opaque tunnels or intercepted ones,
// whichever was last: a rule for the first allows all that one for the second
// would restrict.
func (s *Suggestion) oneSight() map[place]*sighting {
	seen := maps.Clone(s.seen)
	for where, opaque := range s.seen {
		inner := s.seen[place{where.host, intercept}]
		if where.sight != tunnel || inner == nil {
			continue
		}
		newer, older, gone := inner, opaque, where
		if opaque.last.After(inner.last) {
			newer, older, gone = opaque, inner, place{where.host, intercept}
		}
		delete(seen, gone)
		kept := place{where.host, intercept}
		if gone == kept {
			kept = where
		}
		seen[kept] = newer.with(older)
	}
	return seen
}

// with counts another sighting in, without what was seen inside.
func (g *sighting) with(other *sighting) *sighting {
	both := *g
	both.ports, both.agents = maps.Clone(g.ports), maps.Clone(g.agents)
	maps.Copy(both.ports, other.ports)
	for agent, times := range other.agents {
		both.agents[agent] += times
	}
	both.times += other.times
	both.denyList = cmp.Or(g.denyList, other.denyList)
	return &both
}

func (g *sighting) rule(where place) Rule {
	r := Rule{
		Host: where.host, Ports: slices.Sorted(maps.Keys(g.ports)), Schemes: slices.Sorted(maps.Keys(g.schemes)), Intercept: where.sight == intercept,
		Times: g.times, Last: g.last, DeniedBy: g.denyList,
	}
	for agent, times := range g.agents {
		r.Agents = append(r.Agents, ByAgent{agent, times})
	}
	slices.SortFunc(r.Agents, func(a, b ByAgent) int { return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Agent, b.Agent)) })
	if where.sight == tunnel {
		r.Schemes = []string{"https"}
		return r
	}
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
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", host, n)
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
