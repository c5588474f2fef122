package rollout

import (
	"cmp"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"time"

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
	tunnel    sight = "tunnel"    // TLS that Signet did not look into
	raw       sight = "opaque"    // a tunnel that need not have been TLS
	intercept sight = "intercept" // TLS that Signet terminated
	plain     sight = "plain"     // http and ws
)

type place struct {
	host  string
	port  uint16 // 0: several
	sight sight
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.host, q.host), cmp.Compare(p.sight, q.sight), cmp.Compare(p.port, q.port))
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
	where := place{x.request.Target.Host, x.request.Target.Port, intercept}
	switch x.request.Target.Scheme {
	case "http", "ws":
		where.sight = plain
	default:
		switch {
		case x.raw:
			where.sight = raw
		case x.opaque:
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

// places are what becomes one rule each. On one port of a host, opaque tunnels
// and intercepted ones exclude each other, since a rule for the first allows all
// that one for the second would restrict: the newer stays, but what need not be
// TLS stays in any case, since nothing else would carry it. Tunnels on several
// ports are one rule.
func (s *Suggestion) places() map[place]*sighting {
	rules := make(map[place]*sighting)
	merge := func(where place, g *sighting) {
		if rules[where] != nil {
			g = rules[where].with(g)
		}
		rules[where] = g
	}
	for _, where := range slices.SortedFunc(maps.Keys(s.seen), place.compare) {
		g := s.seen[where]
		if where.sight == plain {
			merge(where, g)
			continue
		}
		kept := s.kept(where)
		if kept == tunnel || kept == raw {
			where.port = 0
		}
		if where.sight != kept {
			g = g.outside()
		}
		where.sight = kept
		merge(where, g)
	}
	return rules
}

// kept is the one sight over TLS that a host's port gets a rule for.
func (s *Suggestion) kept(where place) sight {
	sightingOf := func(v sight) *sighting { return s.seen[place{where.host, where.port, v}] }
	opaque, inner := sightingOf(tunnel), sightingOf(intercept)
	switch {
	case sightingOf(raw) != nil:
		return raw
	case inner == nil || opaque != nil && opaque.last.After(inner.last):
		return tunnel
	}
	return intercept
}

// outside is a sighting without what was seen inside.
func (g *sighting) outside() *sighting {
	shell := *g
	shell.methods, shell.paths, shell.anyPath, shell.anyVerb = nil, pathTree{}, false, false
	shell.schemes = map[string]bool{"https": true}
	return &shell
}

// with counts two sightings as one; only one of them has seen requests.
func (g *sighting) with(other *sighting) *sighting {
	both := *g
	if len(g.methods) == 0 {
		both = *other
	}
	both.ports, both.schemes, both.agents = maps.Clone(g.ports), maps.Clone(g.schemes), maps.Clone(g.agents)
	maps.Copy(both.ports, other.ports)
	maps.Copy(both.schemes, other.schemes)
	for agent, times := range other.agents {
		both.agents[agent] += times
	}
	both.times, both.denyList = g.times+other.times, cmp.Or(g.denyList, other.denyList)
	if both.last = g.last; other.last.After(g.last) {
		both.last = other.last
	}
	return &both
}
