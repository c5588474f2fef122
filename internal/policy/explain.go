package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Near is a rule that came close to allowing a request.
type Near struct {
	Rule    string   `json:"rule"`
	Pattern string   `json:"pattern"` // its host pattern that matched, or that is nearest
	Reason  Reason   `json:"reason"`  // what keeps it from allowing the request, first of all
	Changes []string `json:"changes"` // the keys, as YAML, with which it would allow the request; none where no rule can
}

// mostNear bounds an explanation: a host can be in very many rules.
const mostNear = 5

// Explain names the rules that came close to allowing a request that is denied:
// those that have its host, the nearest to allowing it first, or else some with
// hosts of the same domain. It is for people, and takes its time. A request
// inside TLS is explained as such, with Tunnel false.
func (p *Policy) Explain(r *Request) []Near {
	var found []finding
	p.allow.each(&r.Target, func(entries []entry) {
		for _, e := range entries {
			// The more specific pattern of a rule comes later.
			found = slices.DeleteFunc(found, func(f finding) bool { return f.rule == e.rule })
			found = append(found, finding{layer: e.rule.reaches(r), entry: e})
		}
	})
	listed := len(found) > 0
	found = slices.DeleteFunc(found, func(f finding) bool { return f.layer == passed })
	if !listed {
		found = p.allow.neighbours(&r.Target)
	}
	slices.SortStableFunc(found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(b.layer, a.layer), cmp.Compare(shared(b.pattern, r.Target.Host), shared(a.pattern, r.Target.Host)), cmp.Compare(a.rule.index, b.rule.index))
	})
	near := make([]Near, 0, mostNear)
	for _, f := range found[:min(len(found), mostNear)] {
		near = append(near, Near{Rule: f.rule.name, Pattern: f.pattern, Reason: f.layer.reason(), Changes: f.rule.changes(r, listed)})
	}
	return near
}

// neighbours are rules, each by its nearest pattern, for names of the domain that
// somebody has registered and that the host is of.
func (x *hostIndex) neighbours(t *Target) []finding {
	domain, err := publicsuffix.EffectiveTLDPlusOne(t.Host)
	if err != nil || t.Addr.IsValid() {
		return nil
	}
	n := &x.names
	for rest := domain; rest != "" && n != nil; {
		var label string
		rest, label = cutLastLabel(rest)
		n = n.children[label]
	}
	var found []finding
	n.all(func(e entry) {
		i := slices.IndexFunc(found, func(f finding) bool { return f.rule == e.rule })
		switch {
		case i < 0:
			found = append(found, finding{layer: atHost, entry: e})
		case shared(e.pattern, t.Host) > shared(found[i].pattern, t.Host):
			found[i].entry = e
		}
	})
	return found
}

// all visits the entries of a domain and of those below it.
func (n *node) all(visit func(entry)) {
	if n == nil {
		return
	}
	for _, entries := range [][]entry{n.exact, n.one, n.many} {
		for _, e := range entries {
			visit(e)
		}
	}
	for _, child := range n.children {
		child.all(visit)
	}
}

// shared is how many labels a pattern and a host have in common at the end.
func shared(pattern, host string) int {
	n := 0
	for pattern != "" && host != "" {
		var a, b string
		pattern, a = cutLastLabel(pattern)
		host, b = cutLastLabel(host)
		if a != b {
			break
		}
		n++
	}
	return n
}

// changes are the keys of the rule as they would have to be. listed says that
// the rule has the host already.
func (r *rule) changes(req *Request, listed bool) []string {
	t := &req.Target
	var c changes
	if !listed {
		c.add("hosts", hostTexts(r.hosts), t.Host)
	}
	if r.agents != nil && !slices.Contains(r.agents, req.Agent) {
		c.add("agents", r.agents, req.Agent)
	}
	if !r.hasScheme(req) {
		c.add("schemes", r.schemes.names(), t.Scheme)
	}
	if !slices.Contains(r.ports, t.Port) {
		c = append(c, "ports: "+strings.ReplaceAll(fmt.Sprint(append(slices.Clone(r.ports), t.Port)), " ", ", "))
	}
	if r.methods != nil && !slices.Contains(r.methods, req.Method) {
		if !token.MatchString(req.Method) || neverCarried(req.Method) {
			return nil
		}
		c.add("methods", r.methods, req.Method)
	}
	if r.paths != nil && !r.hasPath(t) {
		path, ok := t.PlainPath()
		if _, problem := parsePathPattern(path); !ok || problem != "" {
			return nil
		}
		paths := make([]string, len(r.paths))
		for i := range r.paths {
			paths[i] = r.paths[i].String()
		}
		c.add("paths", paths, path)
	}
	if !r.intercept && (r.methods != nil || r.paths != nil) && schemeBit(t.Scheme)&overTLS != 0 {
		c = append(c, "intercept: true")
	}
	return c
}

// changes are lines of YAML.
type changes []string

func (c *changes) add(key string, list []string, more string) {
	texts := make([]string, 0, len(list)+1)
	for _, s := range append(slices.Clone(list), more) {
		if !plainScalar.MatchString(s) {
			s = strconv.QuoteToASCII(s)
		}
		texts = append(texts, s)
	}
	*c = append(*c, key+": ["+strings.Join(texts, ", ")+"]")
}

// plainScalar is what YAML reads as a string without quotes, also in a list.
var plainScalar = regexp.MustCompile(`^(/[A-Za-z0-9/._-]*|[a-z][a-z0-9-]*(\.[a-z0-9-]+)*\.[a-z][a-z0-9-]*|https?|wss?|GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$`)

// NewRule is the shortest rule that allows a request, as an entry of rules.
func NewRule(r *Request) string {
	t := &r.Target
	c := changes{}
	name := strings.Trim(notInNames.ReplaceAllString(t.Host, "-"), "-._")
	c.add("name", nil, name[:min(len(name), longestLabel)])
	c[0] = strings.NewReplacer("[", "", "]", "").Replace(c[0])
	c.add("hosts", nil, t.Host)
	if t.Scheme != "https" {
		c.add("schemes", nil, t.Scheme)
	}
	if t.Scheme != "https" && t.Scheme != "wss" || t.Port != 443 {
		c = append(c, fmt.Sprintf("ports: [%d]", t.Port))
	}
	if t.Scheme == "wss" {
		c = append(c, "intercept: true")
	}
	return "- {" + strings.Join(c, ", ") + "}"
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
