package policy

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/signet-egress/signet/internal/strictyaml"
)

// File is one policy file. Path is how errors name it.
type File struct {
	Path string
	Data []byte
}

// Compile makes one policy of all files; rules count in the order of files and
// lines. An empty file is a valid one. The error joins one *strictyaml.Error for each
// thing that is wrong, in the same order, and says how many there are beyond the first
// hundred.
func Compile(files []File) (*Policy, error) {
	c := compiler{Reader: new(strictyaml.Reader), policy: &Policy{}, named: make(map[string]string)}
	for _, f := range files {
		c.file(f)
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	c.policy.mode = cmp.Or(c.policy.mode, Enforce)
	slices.Sort(c.policy.intercept)
	c.policy.intercept = slices.Compact(c.policy.intercept)
	return c.policy, nil
}

// compiler fills a policy from files, one after the other.
type compiler struct {
	*strictyaml.Reader
	rule     string // name of the rule that is being read; "" outside of one
	policy   *Policy
	rules    int
	modeIn   string            // file that set the mode
	limitsIn string            // file that set the limits over all rules
	named    map[string]string // file that each name was first used in
}

func (c *compiler) file(f File) {
	root := c.Document(f.Path, f.Data)
	if root == nil {
		return
	}
	keys := c.Mapping(root, "a policy", fileKeys)
	if keys == nil {
		return
	}
	c.version(root, keys["version"])
	c.mode(keys["mode"])
	for _, n := range c.List(keys["rules"], "rules") {
		c.allow(n)
	}
	for _, n := range c.List(keys["deny"], "deny") {
		c.deny(n)
	}
	for _, n := range c.List(keys["patterns"], "patterns") {
		c.suspect(n)
	}
	c.agentLimits(keys["limits"])
	if n := keys["addresses"]; n != nil {
		c.addresses(n)
	}
}

func (c *compiler) version(root, n *yaml.Node) {
	switch {
	case n == nil:
		c.Complain(root, "the version is missing; write version: 1")
	case n.Kind != yaml.ScalarNode || n.Value != "1" || n.ShortTag() != "!!int":
		c.Complain(n, "version is %s, and only version: 1 is known to this build", strictyaml.Kind(n))
	}
}

func (c *compiler) mode(n *yaml.Node) {
	mode := Mode(c.Text(n, "mode"))
	switch {
	case mode == "":
	case mode != Enforce && mode != Report:
		c.Complain(n, "mode %s is not known; write enforce or report", strictyaml.Excerpt(string(mode)))
	case c.modeIn != "" && mode != c.policy.mode:
		c.Complain(n, "mode is %s here and %s in %s; set it in one file", mode, c.policy.mode, c.modeIn)
	default:
		c.policy.mode, c.modeIn = mode, c.Path()
	}
}

// allow compiles one entry of rules.
func (c *compiler) allow(n *yaml.Node) {
	keys := c.begin(n, "a rule", ruleKeys)
	if keys == nil {
		return
	}
	defer c.endRule()
	r := &rule{index: c.rules, name: c.rule}
	c.rules++
	r.schemes = c.schemes(keys["schemes"])
	r.ports = c.ports(keys["ports"])
	r.methods = c.methods(keys["methods"])
	r.paths = c.paths(keys["paths"])
	r.agents = c.agents(keys["agents"])
	r.intercept = c.Truth(keys["intercept"], "intercept")
	r.opaque = c.Truth(keys["opaque"], "opaque")
	r.denyECH = c.deniesECH(keys["ech"])
	r.limits = c.limits(keys["limits"])
	c.policy.rules = append(c.policy.rules, r)
	c.consistent(n, r, keys)
	for _, h := range c.List(keys["hosts"], "hosts") {
		p, ok := c.host(h)
		if !ok {
			continue
		}
		if p.coversPublicSuffix() {
			c.Complain(h, "%q is a wildcard over a public suffix, under which anybody can register a name; name the hosts or a domain below it", h.Value)
			continue
		}
		r.hosts = append(r.hosts, p)
		c.policy.allow.add(p, r)
		if r.intercept {
			c.policy.intercept = append(c.policy.intercept, p.text)
		}
	}
}

func (c *compiler) deniesECH(n *yaml.Node) bool {
	switch ech := c.Text(n, "ech"); ech {
	case "deny":
		return true
	case "", "allow":
	default:
		c.Complain(n, "ech %s is not known; write allow or deny", strictyaml.Excerpt(ech))
	}
	return false
}

// consistent finds rules that say more than can be held.
func (c *compiler) consistent(n *yaml.Node, r *rule, keys map[string]*yaml.Node) {
	switch {
	case r.opaque && r.intercept:
		c.Complain(keys["opaque"], "opaque and intercept exclude each other: what is not TLS cannot be terminated")
	case r.opaque && r.denyECH:
		c.Complain(keys["ech"], "ech does nothing with opaque: no ClientHello is read")
	case (r.opaque || r.denyECH) && r.schemes&overTLS == 0:
		c.Complain(n, "opaque and ech do nothing without https or wss in schemes")
	case r.intercept && r.schemes&overTLS == 0:
		c.Complain(keys["intercept"], "intercept does nothing without https or wss in schemes")
	case r.intercept || r.schemes&overTLS == 0:
	case r.methods != nil && r.paths != nil:
		c.Complain(n, "methods and paths cannot be seen inside https; add intercept: true, or leave them out")
	case r.methods != nil:
		c.Complain(keys["methods"], "methods cannot be seen inside https; add intercept: true, or leave them out")
	case r.paths != nil:
		c.Complain(keys["paths"], "paths cannot be seen inside https; add intercept: true, or leave them out")
	case r.schemes&overTLS == schemeWSS:
		c.Complain(keys["schemes"], "wss cannot be told from https inside a tunnel; add intercept: true, or list https too")
	}
	if l := r.limits; l != nil && r.schemes&overTLS == 0 && (l.Tunnels != 0 || l.TunnelIdle != 0 || l.TunnelLifetime != 0) {
		c.Complain(keys["limits"], "limits on tunnels do nothing without https or wss in schemes")
	}
	if r.schemes&plaintext != 0 && keys["ports"] == nil {
		c.Complain(keys["schemes"], "http and ws need ports: the default is 443 alone; add ports: [80] or what the service uses")
	}
}

// deny compiles one entry of deny. Wildcards over public suffixes are fine here.
func (c *compiler) deny(n *yaml.Node) {
	keys := c.begin(n, "an entry of deny", denyKeys)
	if keys == nil {
		return
	}
	defer c.endRule()
	r := &rule{index: c.rules, name: c.rule}
	c.rules++
	for _, h := range c.List(keys["hosts"], "hosts") {
		if p, ok := c.host(h); ok {
			c.policy.deny.add(p, r)
		}
	}
}

// plainName keeps names short and plain: they are metric labels and stand in
// logs, receipts and headers.
func plainName(s string) bool {
	if s == "" || len(s) > 64 || strings.IndexByte("._-", s[0]) >= 0 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte("._-", c) < 0 {
			return false
		}
	}
	return true
}

// begin reads what rules, deny entries and patterns share, and sets the name that errors
// show until endRule.
func (c *compiler) begin(n *yaml.Node, what string, known []string) map[string]*yaml.Node {
	if name := strictyaml.Peek(n, "name"); plainName(name) {
		c.rule, c.In = name, "rule "+strconv.Quote(name)
	}
	keys := c.Mapping(n, what, known)
	if keys == nil {
		return nil
	}
	name := c.Text(keys["name"], "name")
	switch first, taken := c.named[name]; {
	case keys["name"] == nil:
		c.Complain(n, "%s needs a name, which receipts and metrics show", what)
	case name == "":
	case !plainName(name):
		c.Complain(keys["name"], "name %s is not 1 to 64 letters, digits, dots, hyphens and underscores that start with a letter or digit", strictyaml.Excerpt(name))
	case taken:
		c.Complain(keys["name"], "the name is taken already, in %s", first)
	default:
		c.named[name] = c.Path()
	}
	if keys["hosts"] == nil && slices.Contains(known, "hosts") {
		c.Complain(n, "%s needs hosts", what)
	}
	return keys
}

func (c *compiler) endRule() { c.rule, c.In = "", "" }

func (c *compiler) host(n *yaml.Node) (hostPattern, bool) {
	s := c.Text(n, "a host")
	if s == "" {
		return hostPattern{}, false
	}
	p, err := parseHostPattern(s)
	if err != nil {
		c.Complain(n, "%v", err)
		return hostPattern{}, false
	}
	return p, true
}

func (c *compiler) schemes(n *yaml.Node) schemes {
	if n == nil {
		return schemeHTTPS
	}
	var set schemes
	for _, e := range c.List(n, "schemes") {
		if s := c.Text(e, "a scheme"); s != "" {
			if schemeBit(s) == 0 {
				c.Complain(e, "scheme %s is not http, https, ws or wss", strictyaml.Excerpt(s))
			}
			set |= schemeBit(s)
		}
	}
	return set
}

func (c *compiler) ports(n *yaml.Node) []uint16 {
	if n == nil {
		return []uint16{443}
	}
	var ports []uint16
	for _, e := range c.List(n, "ports") {
		port, err := parsePort(e.Value)
		if err != nil || e.Kind != yaml.ScalarNode || e.ShortTag() != "!!int" {
			c.Complain(e, "a port is a number from 1 to 65535, not %s", strictyaml.Kind(e))
			continue
		}
		ports = append(ports, port)
	}
	return ports
}

// token is the grammar of a method (RFC 9110, section 5.6.2), in upper case.
var token = regexp.MustCompile("^[A-Z0-9!#$%&'*+.^_`|~-]+$")

func (c *compiler) methods(n *yaml.Node) []string {
	var methods []string
	for _, e := range c.List(n, "methods") {
		switch m := c.Text(e, "a method"); {
		case m == "":
		case token.MatchString(strings.ToUpper(m)) && m != strings.ToUpper(m):
			c.Complain(e, "method %s: methods are case-sensitive; write %s", strictyaml.Excerpt(m), strings.ToUpper(m))
		case !token.MatchString(m):
			c.Complain(e, "%s is not a method", strictyaml.Excerpt(m))
		case neverCarried(m):
			c.Complain(e, "%s is not for rules: a tunnel is allowed by host and port, and TRACE and TRACK are never carried", m)
		default:
			methods = append(methods, m)
		}
	}
	return methods
}

// neverCarried are methods that no rule can list.
func neverCarried(method string) bool {
	return method == "CONNECT" || method == "TRACE" || method == "TRACK"
}

func (c *compiler) paths(n *yaml.Node) []pathPattern {
	var paths []pathPattern
	for _, e := range c.List(n, "paths") {
		s := c.Text(e, "a path")
		if s == "" {
			continue
		}
		p, problem := parsePathPattern(s)
		if problem != "" {
			c.Complain(e, "path %s: %s", strictyaml.Excerpt(s), problem)
			continue
		}
		paths = append(paths, p)
	}
	return paths
}

// agents returns nil for every agent. A name with other characters would make a
// rule that no agent fits.
func (c *compiler) agents(n *yaml.Node) []string {
	var agents []string
	for _, e := range c.List(n, "agents") {
		switch s := c.Text(e, "an agent"); {
		case s == "":
		case s != "*" && !plainName(s):
			c.Complain(e, "agent %s is not 1 to 64 letters, digits, dots, hyphens and underscores; no agent has another name", strictyaml.Excerpt(s))
		default:
			agents = append(agents, s)
		}
	}
	if !slices.Contains(agents, "*") {
		return agents
	}
	if len(agents) > 1 {
		c.Complain(n, "\"*\" is every agent; leave out the others, or the star")
	}
	return nil
}

func (c *compiler) addresses(n *yaml.Node) {
	keys := c.Mapping(n, "addresses", addressesKeys)
	for _, e := range c.List(keys["allow"], "addresses.allow") {
		s := c.Text(e, "an address range")
		if s == "" {
			continue
		}
		prefix, problem := validHole(s)
		if problem != "" {
			c.Complain(e, "%s %s", strictyaml.Excerpt(s), problem)
			continue
		}
		c.policy.holes = append(c.policy.holes, prefix)
	}
}

// validHole refuses ranges that are not one range of addresses.
func validHole(s string) (netip.Prefix, string) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, "is not an address range such as 10.20.0.0/16; a single address is written with /32 (IPv6: /128)"
	case p.Addr().Is4In6():
		return p, "is IPv4 inside IPv6; write it as an IPv4 range"
	case p != p.Masked():
		return p, "has bits set beyond its length; write " + p.Masked().String()
	case p.Bits() == 0:
		return p, "would open every special address; name the ranges that are needed"
	}
	return p, ""
}
