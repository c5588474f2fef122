package payload

import (
	"bytes"
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/signet-egress/signet/internal/jsonx"
	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/internal/strictyaml"
	"github.com/signet-egress/signet/invariants"
)

// File is a file of the policy directory. Path is how errors name it.
type File = policy.File

// The keys of a contract. docs/contracts.md describes each.
var (
	contractKeys = []string{
		"name", "on", "payload_type", "target_type", "mode", "max_bytes", "embedded", "schema", "target_schema",
		"repair", "original", "missing_original", "transform", "rules", "capture",
	}
	repairKeys   = []string{"local", "model"}
	originalKeys = []string{"fact", "key"}
	ruleKeys     = []string{"id", "check", "use", "with"}
	withKeys     = []string{"fields", "renamed", "original", "transformed", "values", "format"}
	moneyKeys    = []string{"amount", "currency", "unit"}
	captureKeys  = []string{"fact", "part", "key", "keep", "scope", "ttl"}
)

// Bounds of what operators write; what is larger is a slip of the pen.
const (
	mostContracts = 1000
	mostBytes     = 64 << 20
	mostTTL       = 30 * 24 * time.Hour
	usualTTL      = time.Hour
)

// Compile makes the contracts of a policy's files, which the policy p was made
// of; schemas are the *.json files beside them. The error joins everything that
// is wrong, each with its place. It is an error, too, where what a contract is
// for could pass without being seen.
func Compile(files, schemaFiles []File, p *policy.Policy) (*Set, error) {
	schemas, errs := newSchemas(schemaFiles)
	c := compiler{Reader: new(strictyaml.Reader), policy: p, schemas: schemas, set: &Set{facts: make(map[string]string)}}
	for _, f := range files {
		// A policy without any is not read twice; with a backslash a key can be
		// written in other ways.
		if bytes.Contains(f.Data, []byte("contracts")) || bytes.IndexByte(f.Data, '\\') >= 0 {
			c.file(f)
		}
	}
	c.originals()
	if err := errors.Join(append(errs, c.Err())...); err != nil {
		return nil, err
	}
	return c.set, nil
}

// compiler fills a set from files, one after the other.
type compiler struct {
	*strictyaml.Reader
	policy  *policy.Policy
	schemas *schemas
	set     *Set

	contract *Contract // that is being read
	names    []string  // of members that it uses
	places   []place
}

// place is where a contract is written.
type place struct {
	file     string
	selector *policy.Selector
	original *yaml.Node // nil: none
}

func (c *compiler) file(f File) {
	root := c.Document(f.Path, f.Data)
	if root == nil || root.Kind != yaml.MappingNode {
		return // the policy's compiler has said so
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "contracts" {
			continue
		}
		for _, n := range c.List(strictyaml.Resolve(root.Content[i+1]), "contracts") {
			c.one(n)
		}
	}
}

// plainName is as for rules: names are metric labels and stand in receipts.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// one compiles an entry of contracts.
func (c *compiler) one(n *yaml.Node) {
	if name := strictyaml.Peek(n, "name"); plainName.MatchString(name) {
		c.In = "contract " + strconv.Quote(name)
	}
	defer func() { c.In = "" }()
	keys := c.Mapping(n, "a contract", contractKeys)
	if keys == nil {
		return
	}
	k := &Contract{Name: c.name(n, keys["name"]), PayloadType: c.label(keys["payload_type"], "payload_type"), TargetType: c.label(keys["target_type"], "target_type")}
	c.contract, c.names = k, nil
	k.Report = c.oneOf(keys["mode"], "mode", "enforce", "report") == "report"
	k.limit = int(c.Size(keys["max_bytes"], "max_bytes", mostBytes))
	for _, e := range c.List(keys["embedded"], "embedded") {
		k.embedded = append(k.embedded, c.pattern(e, "a pointer of embedded"))
	}
	k.schema = c.schema(keys["schema"], "schema")
	k.targetSchema = c.schema(keys["target_schema"], "target_schema")
	k.repair = c.repairs(keys["repair"])
	k.original = c.origin(keys["original"], keys["missing_original"])
	k.transform = c.assignments(keys["transform"])
	k.rules = c.rules(keys["rules"])
	k.captures = c.captures(keys["capture"])
	k.checks = slices.ContainsFunc(contractKeys, func(key string) bool {
		switch key {
		case "name", "on", "payload_type", "target_type", "mode", "capture":
			return false
		}
		return keys[key] != nil
	}) || keys["capture"] == nil
	k.options = jsonx.Options{Used: jsonx.NewNames(c.names...)}
	c.choose(n, keys, k)
}

func (c *compiler) name(n, name *yaml.Node) string {
	if name == nil {
		c.Complain(n, "a contract needs a name, which receipts and metrics show")
		return ""
	}
	s := c.label(name, "name")
	if s != "" && c.set.Named(s) != nil {
		c.Complain(name, "another contract has this name")
	}
	return s
}

// label is a plain name; "" where there is none.
func (c *compiler) label(n *yaml.Node, what string) string {
	s := c.Text(n, what)
	if s != "" && !plainName.MatchString(s) {
		c.Complain(n, "%s %s is not 1 to 64 letters, digits, dots, hyphens and underscores that start with a letter or digit", what, strictyaml.Excerpt(s))
		return ""
	}
	return s
}

// oneOf is a word of a closed set, of which the first is the default.
func (c *compiler) oneOf(n *yaml.Node, what string, words ...string) string {
	s := cmp.Or(c.Text(n, what), words[0])
	if !slices.Contains(words, s) {
		c.Complain(n, "%s %s is not known; write %s", what, strictyaml.Excerpt(s), strings.Join(words, " or "))
	}
	return s
}

// choose registers the contract for what it is on.
func (c *compiler) choose(n *yaml.Node, keys map[string]*yaml.Node, k *Contract) {
	if keys["on"] == nil {
		c.Complain(n, "a contract needs on, with the hosts that it is for")
		return
	}
	selector := policy.ReadSelector(c.Reader, keys["on"])
	if selector == nil {
		return
	}
	for _, way := range c.policy.Unseen(selector) {
		c.Complain(keys["on"], "%s", way)
	}
	for i, other := range c.places {
		if other.selector.Overlaps(selector) {
			c.Complain(keys["on"], "a request can fall under contract %q, in %s, as well; a request has one contract: narrow their hosts, ports, methods or paths, or make them one", c.set.contracts[i].Name, other.file)
		}
	}
	if len(c.set.contracts) == mostContracts {
		c.Complain(n, "there are more than %d contracts", mostContracts)
		return
	}
	c.set.selectors.Add(selector)
	c.set.contracts = append(c.set.contracts, k)
	c.places = append(c.places, place{file: c.Path(), selector: selector, original: keys["original"]})
}

func (c *compiler) pattern(n *yaml.Node, what string) jsonx.Pattern {
	s := c.Text(n, what)
	if s == "" {
		return nil
	}
	p, err := jsonx.ParsePattern(s)
	if err != nil {
		c.Complain(n, "%s: %v", what, err)
	}
	c.uses(p)
	return p
}

func (c *compiler) pointer(n *yaml.Node, what string) jsonx.Pointer {
	p := c.pattern(n, what)
	if slices.Contains(p, "*") {
		c.Complain(n, "%s names one place: no *", what)
	}
	return jsonx.Pointer(p)
}

// uses notes the member names that the contract looks at.
func (c *compiler) uses(p []string) {
	for _, token := range p {
		if token != "*" {
			c.names = append(c.names, token)
		}
	}
}

func (c *compiler) schema(n *yaml.Node, what string) *schema {
	name := c.Text(n, what)
	if name == "" {
		return nil
	}
	s, err := c.schemas.compile(name)
	if err != nil {
		c.Complain(n, "%s: %v", what, err)
		return nil
	}
	c.names = append(c.names, memberNames(s.validator)...)
	return s
}

func (c *compiler) repairs(n *yaml.Node) Repairs {
	if n == nil {
		return Repairs{}
	}
	keys := c.Mapping(n, "repair", repairKeys)
	r := Repairs{Local: c.Truth(keys["local"], "repair.local"), Model: c.Truth(keys["model"], "repair.model")}
	if r.Model && !r.Local {
		c.Complain(n, "repair.model needs local: true: a model is asked only where the local repair has no rule")
	}
	return r
}

func (c *compiler) origin(n, missing *yaml.Node) *origin {
	lenient := c.oneOf(missing, "missing_original", "deny", "allow") == "allow"
	if n == nil {
		if missing != nil {
			c.Complain(missing, "missing_original does nothing without original")
		}
		return nil
	}
	keys := c.Mapping(n, "original", originalKeys)
	for _, key := range originalKeys {
		if keys != nil && keys[key] == nil {
			c.Complain(n, "original needs %s", key)
		}
	}
	return &origin{fact: c.label(keys["fact"], "original.fact"), key: c.pattern(keys["key"], "original.key"), lenient: lenient}
}

func (c *compiler) assignments(n *yaml.Node) []assignment {
	var list []assignment
	for _, p := range c.Pairs(n, "transform") {
		at, err := jsonx.ParsePattern(p.Name)
		if err != nil || len(at) == 0 || at[len(at)-1] == "*" {
			c.Complain(p.Key, "transform writes to a JSON Pointer of a member, such as /amount_minor, and %s is none", strictyaml.Excerpt(p.Name))
			continue
		}
		c.uses(at)
		source := c.Text(p.Value, "the expression of "+p.Name)
		if source == "" {
			continue
		}
		e, err := invariants.CompileExpression(p.Name, source, invariants.Options{})
		if err != nil {
			c.Complain(p.Value, "%v", err)
			continue
		}
		c.names = append(c.names, e.Names()...)
		list = append(list, assignment{at: at, value: e})
	}
	return list
}

// captures compiles one capture, or a list of them.
func (c *compiler) captures(n *yaml.Node) []capture {
	nodes := []*yaml.Node{n}
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.SequenceNode:
		nodes = c.List(n, "capture")
	}
	var list []capture
	for _, n := range nodes {
		if keys := c.Mapping(n, "capture", captureKeys); keys != nil {
			list = append(list, c.capture(n, keys))
		}
	}
	return list
}

func (c *compiler) capture(n *yaml.Node, keys map[string]*yaml.Node) capture {
	for _, key := range []string{"fact", "key", "keep"} {
		if keys[key] == nil {
			c.Complain(n, "capture needs %s", key)
		}
	}
	c.oneOf(keys["part"], "capture.part", "response")
	k := capture{
		fact: c.label(keys["fact"], "capture.fact"), key: c.pointer(keys["key"], "capture.key"),
		scope: c.oneOf(keys["scope"], "capture.scope", scopeAgent, scopeTrace, scopeTenant),
		ttl:   cmp.Or(c.Duration(keys["ttl"], "capture.ttl", mostTTL), usualTTL),
	}
	for _, p := range c.Pairs(keys["keep"], "capture.keep") {
		k.keep = append(k.keep, kept{p.Name, c.pointer(p.Value, "capture.keep."+p.Name)})
	}
	if scope, taken := c.set.facts[k.fact]; taken && scope != k.scope && k.fact != "" {
		c.Complain(n, "the fact %s has the scope %s elsewhere; a fact has one", k.fact, scope)
	}
	c.set.facts[k.fact] = k.scope
	return k
}

// originals finds facts that nothing captures, which no body could be held
// against.
func (c *compiler) originals() {
	for i, k := range c.set.contracts {
		if k.original == nil || k.original.fact == "" {
			continue
		}
		scope, captured := c.set.facts[k.original.fact]
		k.original.scope = scope
		if !captured {
			c.Resume(c.places[i].file)
			c.In = "contract " + strconv.Quote(k.Name)
			c.Complain(c.places[i].original, "no contract captures the fact %s, so that every body would be without its original", k.original.fact)
		}
	}
}
