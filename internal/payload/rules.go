package payload

import (
	"errors"

	"go.yaml.in/yaml/v3"

	"github.com/signet-egress/signet/invariants"
)

// rules compiles expressions and ready-made rules.
func (c *compiler) rules(n *yaml.Node) *invariants.Program {
	var rules []invariants.Rule
	nodes := make(map[string]*yaml.Node)
	for _, e := range c.List(n, "rules") {
		if rule, ok := c.rule(e); ok {
			nodes[rule.ID] = e
			rules = append(rules, rule)
		}
	}
	if len(rules) == 0 {
		return nil
	}
	p, err := invariants.Compile(rules, invariants.Options{})
	if err != nil {
		eachError(err, func(err error) {
			node := n
			var wrong *invariants.CompileError
			if errors.As(err, &wrong) && nodes[wrong.Rule] != nil {
				node = nodes[wrong.Rule]
			}
			c.Complain(node, "%v", err)
		})
		return nil
	}
	c.names = append(c.names, p.Names()...)
	return p
}

// rule reads one entry of rules.
func (c *compiler) rule(n *yaml.Node) (invariants.Rule, bool) {
	keys := c.Mapping(n, "a rule", ruleKeys)
	if keys == nil {
		return invariants.Rule{}, false
	}
	rule := invariants.Rule{ID: c.Text(keys["id"], "id"), Check: c.Text(keys["check"], "check"), Use: c.Text(keys["use"], "use")}
	switch {
	case keys["id"] == nil:
		c.Complain(n, "a rule needs an id, which denials and receipts show")
	case (keys["check"] == nil) == (keys["use"] == nil):
		c.Complain(n, "a rule has either check, an expression, or use, the name of a ready-made rule")
	case keys["with"] != nil && keys["use"] == nil:
		c.Complain(keys["with"], "with is for ready-made rules: it needs use")
	default:
		rule.With = c.with(keys["with"])
		return rule, rule.ID != "" && rule.Check+rule.Use != ""
	}
	return rule, false
}

// with reads the parameters of a ready-made rule; which of them it takes is the
// rule's to say.
func (c *compiler) with(n *yaml.Node) invariants.With {
	if n == nil {
		return invariants.With{}
	}
	keys := c.Mapping(n, "with", withKeys)
	w := invariants.With{
		Fields: c.texts(keys["fields"], "with.fields"), Values: c.texts(keys["values"], "with.values"), Format: c.Text(keys["format"], "with.format"),
		Original: c.money(keys["original"], "with.original"), Transformed: c.money(keys["transformed"], "with.transformed"),
	}
	for _, p := range c.Pairs(keys["renamed"], "with.renamed") {
		if w.Renamed == nil {
			w.Renamed = make(map[string]string)
		}
		w.Renamed[p.Name] = c.Text(p.Value, "with.renamed."+p.Name)
	}
	return w
}

func (c *compiler) money(n *yaml.Node, what string) invariants.Money {
	if n == nil {
		return invariants.Money{}
	}
	keys := c.Mapping(n, what, moneyKeys)
	return invariants.Money{
		Amount: c.Text(keys["amount"], what+".amount"), Currency: c.Text(keys["currency"], what+".currency"), Unit: c.Text(keys["unit"], what+".unit"),
	}
}

func (c *compiler) texts(n *yaml.Node, what string) []string {
	var list []string
	for _, e := range c.List(n, what) {
		list = append(list, c.Text(e, "an element of "+what))
	}
	return list
}

// eachError visits what errors.Join has joined.
func eachError(err error, visit func(error)) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		visit(err)
		return
	}
	for _, e := range joined.Unwrap() {
		eachError(e, visit)
	}
}
