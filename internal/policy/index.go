package policy

import (
	"net/netip"
	"strings"
)

// hostIndex finds the rules for a host: names by a trie over their labels from
// the right, literals by their address. It is built once and then only read.
type hostIndex struct {
	names    node
	literals map[netip.Addr][]entry
}

// node stands for a domain; its children are one label longer.
type node struct {
	children map[string]*node
	exact    []entry // the domain itself
	one      []entry // *.domain
	many     []entry // **.domain
}

// entry is one host pattern of one rule.
type entry struct {
	rule    *rule
	pattern string
}

func (x *hostIndex) add(p hostPattern, r *rule) {
	e := entry{rule: r, pattern: p.text}
	if p.addr.IsValid() {
		if x.literals == nil {
			x.literals = make(map[netip.Addr][]entry)
		}
		x.literals[p.addr] = append(x.literals[p.addr], e)
		return
	}
	n := &x.names
	for rest := p.name; rest != ""; {
		var label string
		rest, label = cutLastLabel(rest)
		n = n.child(label)
	}
	switch p.prefix {
	case "*.":
		n.one = append(n.one, e)
	case "**.":
		n.many = append(n.many, e)
	default:
		n.exact = append(n.exact, e)
	}
}

func (n *node) child(label string) *node {
	c := n.children[label]
	if c == nil {
		c = new(node)
		if n.children == nil {
			n.children = make(map[string]*node)
		}
		n.children[label] = c
	}
	return c
}

// each visits the entries whose pattern matches the target's host, the more
// specific ones later.
func (x *hostIndex) each(t *Target, visit func([]entry)) {
	if t.Addr.IsValid() {
		visit(x.literals[t.Addr])
		return
	}
	n := &x.names
	for rest := t.Host; ; {
		var label string
		rest, label = cutLastLabel(rest)
		visit(n.many)
		if rest == "" {
			visit(n.one)
		}
		if n = n.children[label]; n == nil {
			return
		}
		if rest == "" {
			visit(n.exact)
			return
		}
	}
}

func cutLastLabel(name string) (rest, label string) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return "", name
	}
	return name[:dot], name[dot+1:]
}
