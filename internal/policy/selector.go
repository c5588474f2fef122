package policy

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/signet-egress/signet/internal/strictyaml"
)

var selectorKeys = []string{"hosts", "ports", "methods", "paths"}

// Selector picks requests by where they go. Its hosts, ports, methods and paths
// are written as those of a rule, but it is there to hold requests to more than
// a rule does, so that doubt counts against the request: what is left out
// restricts nothing, ports included, and a path that can be read in several ways
// is picked whatever the patterns say. Many servers take methods and paths in any
// case, and a path with a slash at its end or without: what no selector picks as
// it is written is picked as these read it.
type Selector struct {
	rule rule
}

// ReadSelector reads a selector; what is wrong with it is the reader's to tell.
func ReadSelector(r *strictyaml.Reader, n *yaml.Node) *Selector {
	c := compiler{Reader: r}
	keys := c.Mapping(n, "on", selectorKeys)
	if keys == nil {
		return nil
	}
	s := &Selector{rule: rule{methods: c.methods(keys["methods"]), paths: c.paths(keys["paths"])}}
	for _, p := range s.rule.paths {
		s.rule.loosePaths = append(s.rule.loosePaths, p.loose())
	}
	if keys["ports"] != nil {
		s.rule.ports = c.ports(keys["ports"])
	}
	if keys["hosts"] == nil {
		c.Complain(n, "on needs hosts")
	}
	for _, h := range c.List(keys["hosts"], "hosts") {
		if p, ok := c.host(h); ok {
			s.rule.hosts = append(s.rule.hosts, p)
		}
	}
	return s
}

// concerns tells whether a request to one of the selector's hosts is picked, for
// all but its path.
func (r *rule) concerns(req *Request) bool {
	return (r.ports == nil || slices.Contains(r.ports, req.Target.Port)) &&
		(r.methods == nil || slices.ContainsFunc(r.methods, func(m string) bool { return strings.EqualFold(m, req.Method) }))
}

// mayHavePath tells whether the path, as it is written, is one of the rule's.
func (r *rule) mayHavePath(reading pathReading) bool {
	return r.paths == nil || reading.plain == "" || slices.ContainsFunc(r.paths, func(p pathPattern) bool {
		return p.matchesText(reading.plain) || p.matchesText(reading.resolved)
	})
}

// mayLooselyHavePath tells the same of servers that ignore case, and a slash at
// the end.
func (r *rule) mayLooselyHavePath(reading pathReading) bool {
	plain, resolved := strings.ToLower(reading.plain), strings.ToLower(reading.resolved)
	return slices.ContainsFunc(r.loosePaths, func(p pathPattern) bool {
		return p.matchesText(plain) || p.matchesText(resolved) ||
			p.matchesText(strings.TrimSuffix(plain, "/")) || p.matchesText(strings.TrimSuffix(resolved, "/"))
	})
}

// loose is the pattern for paths in lower case, without a slash at their end.
func (p pathPattern) loose() pathPattern {
	p.segments = strings.ToLower(p.segments)
	if !p.below {
		p.segments = strings.TrimSuffix(p.segments, "/")
	}
	return p
}

// Selectors finds the selector that picks a request. The zero value has none.
type Selectors struct {
	index hostIndex
	n     int
}

// Add takes another selector in, whose number is that of those before it.
func (s *Selectors) Add(sel *Selector) {
	sel.rule.index = s.n
	s.n++
	for _, p := range sel.rule.hosts {
		s.index.add(p, &sel.rule)
	}
}

// Pick is the number of the first selector that picks the request, or -1; of one
// that picks it as it is written, before others. A CONNECT is never picked.
func (s *Selectors) Pick(r *Request) int {
	if s.n == 0 || r.Tunnel {
		return -1
	}
	written, loose := s.n, s.n
	s.index.each(&r.Target, func(entries []entry) {
		for _, e := range entries {
			switch {
			case !e.rule.concerns(r):
			case e.rule.mayHavePath(r.Target.reading):
				written = min(written, e.rule.index)
			case e.rule.mayLooselyHavePath(r.Target.reading):
				loose = min(loose, e.rule.index)
			}
		}
	})
	switch {
	case written < s.n:
		return written
	case loose < s.n:
		return loose
	}
	return -1
}

// Overlaps tells whether a request can be picked by both. Two paths are compared
// by their patterns; what is read in several ways, which both pick, is left out.
func (s *Selector) Overlaps(o *Selector) bool {
	return anyPair(s.rule.hosts, o.rule.hosts, hostPattern.overlaps) &&
		anyPair(s.rule.ports, o.rule.ports, equal[uint16]) &&
		anyPair(s.rule.methods, o.rule.methods, equal[string]) &&
		anyPair(s.rule.paths, o.rule.paths, pathPattern.overlaps)
}

func equal[T comparable](a, b T) bool { return a == b }

// anyPair tells whether two lists have elements that match, where an empty list
// is everything.
func anyPair[T any](a, b []T, match func(T, T) bool) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(x T) bool {
		return slices.ContainsFunc(b, func(y T) bool { return match(x, y) })
	})
}

// overlaps tells whether a host can match both patterns.
func (p hostPattern) overlaps(q hostPattern) bool {
	return p.covers(q) || q.covers(p)
}

// covers tells whether every host that matches q matches p. Of two patterns
// that overlap one covers the other.
func (p hostPattern) covers(q hostPattern) bool {
	if p.addr.IsValid() || q.addr.IsValid() {
		return p.addr == q.addr
	}
	switch p.prefix {
	case "":
		return p.text == q.text
	case "*.":
		label, one := strings.CutSuffix(q.name, "."+p.name)
		return p.text == q.text || q.prefix == "" && one && !strings.Contains(label, ".")
	}
	below := strings.HasSuffix(q.name, "."+p.name)
	return below || q.prefix != "" && q.name == p.name
}

// overlaps tells whether a path can match both patterns.
func (p pathPattern) overlaps(q pathPattern) bool {
	return overlapping(p.segments, q.segments, p.below, q.below)
}

// overlapping walks two patterns segment by segment; a pattern that is to be
// found below goes on with anything.
func overlapping(a, b string, aBelow, bBelow bool) bool {
	first, aRest, aMore := strings.Cut(a, "/")
	second, bRest, bMore := strings.Cut(b, "/")
	switch {
	case !aMore && aBelow || !bMore && bBelow: // its last segment is empty: what follows is anything
		return true
	case !segmentsOverlap(first, second):
		return false
	case !aMore || !bMore:
		return aMore == bMore
	}
	return overlapping(aRest, bRest, aBelow, bBelow)
}

// segmentsOverlap tells whether a segment can match both, where * is one or more
// characters. meet[j] is what it tells of the rest of a and of b from j on.
func segmentsOverlap(a, b string) bool {
	meet := make([]bool, len(b)+1)
	meet[len(b)] = true
	for i := len(a) - 1; i >= 0; i-- {
		both := meet[len(b)]
		meet[len(b)] = false
		for j := len(b) - 1; j >= 0; j-- {
			onlyA := meet[j] // a goes on, b stays: b has a star there
			here := (a[i] == b[j] || a[i] == '*' || b[j] == '*') && both
			here = here || a[i] == '*' && meet[j+1] || b[j] == '*' && onlyA
			both, meet[j] = onlyA, here
		}
	}
	return meet[0]
}
