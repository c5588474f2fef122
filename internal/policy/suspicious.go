package policy

import (
	"regexp"
	"regexp/syntax"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/signet-egress/signet/internal/strictyaml"
)

// Bounds of patterns. Matching takes time in proportion to the length of the
// URL times the size of the program, for every pattern and every request.
const (
	mostPatterns   = 64
	longestPattern = 1024 // bytes
	largestProgram = 2000 // instructions
)

// suspicious is a compiled entry of patterns.
type suspicious struct {
	name  string
	match *regexp.Regexp
	deny  bool
}

// suspect compiles one entry of patterns.
func (c *compiler) suspect(n *yaml.Node) {
	keys := c.begin(n, "a pattern", patternKeys)
	if keys == nil {
		return
	}
	defer c.endRule()
	s := suspicious{name: c.rule, match: c.expression(n, keys["match"])}
	switch action := c.Text(keys["action"], "action"); {
	case keys["action"] == nil:
		c.Complain(n, "a pattern needs an action: deny or flag")
	case action == "":
	case action != "deny" && action != "flag":
		c.Complain(keys["action"], "action %s is not known; write deny or flag", strictyaml.Excerpt(action))
	default:
		s.deny = action == "deny"
	}
	c.policy.suspicious = append(c.policy.suspicious, s)
	if len(c.policy.suspicious) == mostPatterns+1 {
		c.Complain(n, "this is pattern %d, and there are at most %d; join some with |", mostPatterns+1, mostPatterns)
	}
}

// expression compiles the value of match, bounded in what it costs.
func (c *compiler) expression(entry, n *yaml.Node) *regexp.Regexp {
	if n == nil {
		c.Complain(entry, "a pattern needs match, a regular expression (RE2)")
		return nil
	}
	text := c.Text(n, "match")
	if text == "" {
		return nil
	}
	if len(text) > longestPattern {
		c.Complain(n, "match is %d bytes long, and at most %d", len(text), longestPattern)
		return nil
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		c.Complain(n, "match is not a regular expression (RE2): %s", strictyaml.Excerpt(strings.TrimPrefix(err.Error(), "error parsing regexp: ")))
		return nil
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil || len(program.Inst) > largestProgram {
		c.Complain(n, "match is too large when it is compiled (more than %d steps); write shorter repetitions", largestProgram)
		return nil
	}
	expr, err := regexp.Compile(text)
	switch {
	case err != nil:
		c.Complain(n, "match is not a regular expression (RE2): %s", strictyaml.Excerpt(err.Error()))
	case expr.MatchString(""):
		c.Complain(n, "match %s fits everything, since it fits nothing at all", strictyaml.Excerpt(text))
	}
	return expr
}

// suspect asks the patterns about a target that goes on: it adds to the
// decision's flags, and the first pattern that denies turns an allowed decision
// into a denial.
func (d *Decision) suspect(patterns []suspicious, t *Target) {
	for i := range patterns {
		s := &patterns[i]
		if s.deny && !d.Allowed || !s.matches(t) {
			continue
		}
		if s.deny {
			d.Allowed, d.Reason, d.Rule = false, SuspiciousPattern, s.name
			continue
		}
		d.Flags = append(d.Flags, s.name)
	}
}

// matches tries host, path and query by themselves, the latter two as sent and
// decoded once, so that an escape hides nothing.
func (s *suspicious) matches(t *Target) bool {
	if s.match.MatchString(t.Host) || t.Path != "" && s.match.MatchString(t.Path) || t.Query != "" && s.match.MatchString(t.Query) {
		return true
	}
	if strings.Contains(t.Path, "%") && s.match.MatchString(unescape(t.Path, false)) {
		return true
	}
	return strings.ContainsAny(t.Query, "%+") && s.match.MatchString(unescape(t.Query, true))
}

// unescape decodes percent-encoding, and in a query the plus sign of forms. What
// is no escape stands for itself: a query with one broken escape must not hide
// the others.
func unescape(s string, query bool) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%' && isEscape(s[i:]):
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		case s[i] == '+' && query:
			out = append(out, ' ')
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

// unhex is the value of a hexadecimal digit.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
