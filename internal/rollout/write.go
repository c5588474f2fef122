package rollout

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// write writes the proposal as a policy file for people to edit.
func (p *Proposal) write() string {
	var b strings.Builder
	p.header(&b)
	b.WriteString("version: 1\nmode: enforce\n")
	if len(p.Rules) > 0 {
		b.WriteString("rules:\n")
	}
	for i := range p.Rules {
		p.Rules[i].write(&b, "  ")
	}
	if len(p.Holes) > 0 {
		b.WriteString("\naddresses:\n  # special addresses that were reached\n  allow:\n")
	}
	for _, h := range p.Holes {
		fmt.Fprintf(&b, "    - %s # %s\n", quoted(h.Address.String()), strings.Join(h.Hosts, ", "))
	}
	for _, w := range p.Wildcards {
		fmt.Fprintf(&b, "\n# %d hosts end alike. hosts: [%q] would stand for all of them, and for any other name there:\n# %s\n", len(w.Hosts), w.Pattern, strings.Join(w.Hosts, ", "))
	}
	commented(&b, "Seen too rarely to be proposed:", p.Rare)
	commented(&b, "On the deny list of the time, and not proposed:", p.Listed)
	if len(p.Refused) > 0 {
		b.WriteString("\n# Denied at the time, and not proposed:\n")
	}
	for _, r := range p.Refused {
		fmt.Fprintf(&b, "#   %s: %s, %s\n", r.Host, word(string(r.Reason)), times(r.Times))
	}
	return b.String()
}

func (p *Proposal) header(b *strings.Builder) {
	if p.Exchanges == 0 {
		b.WriteString("# Proposed by signet suggest from no exchanges at all: it denies everything.\n")
	} else {
		fmt.Fprintf(b, "# Proposed by signet suggest from %s, %s to %s.\n", exchanges(p.Exchanges), stamp(p.First), stamp(p.Last))
	}
	b.WriteString("# It allows what was seen, wanted or not: read it, narrow it, and try it with signet replay.\n")
	if n := p.Skipped.Withheld; n > 0 {
		fmt.Fprintf(b, "# Not in it: %s whose detail is withheld.\n", exchanges(n))
	}
}

// write writes a rule as an entry of rules.
func (r *Rule) write(b *strings.Builder, indent string) {
	fmt.Fprintf(b, "%s# %s, last %s, by %s\n", indent, times(r.Times), stamp(r.Last), byAgents(r.Agents))
	fmt.Fprintf(b, "%s- name: %s\n", indent, quoted(r.Name))
	indent += "  "
	fmt.Fprintf(b, "%shosts: [%s]\n", indent, quoted(r.Host))
	overTLS := !slices.Contains(r.Schemes, "http") && !slices.Contains(r.Schemes, "ws")
	if !overTLS || !slices.Equal(r.Ports, []uint16{443}) { // without TLS there is no default
		fmt.Fprintf(b, "%sports: %s\n", indent, list(r.Ports, func(p uint16) string { return strconv.Itoa(int(p)) }))
	}
	if !slices.Equal(r.Schemes, []string{"https"}) {
		fmt.Fprintf(b, "%sschemes: %s\n", indent, list(r.Schemes, func(s string) string { return s }))
	}
	if r.Methods != nil {
		fmt.Fprintf(b, "%smethods: %s\n", indent, list(r.Methods, quoted))
	}
	if r.Paths != nil {
		fmt.Fprintf(b, "%spaths:\n", indent)
	}
	for _, p := range r.Paths {
		fmt.Fprintf(b, "%s  - %s # %s\n", indent, quoted(p.Path), times(p.Times))
	}
	if r.Intercept {
		fmt.Fprintf(b, "%sintercept: true\n", indent)
	}
	if r.Opaque {
		fmt.Fprintf(b, "%sopaque: true\n", indent)
	}
}

// commented writes rules that are not part of the policy.
func commented(b *strings.Builder, why string, rules []Rule) {
	if len(rules) == 0 {
		return
	}
	fmt.Fprintf(b, "\n# %s\n", why)
	for i := range rules {
		var text strings.Builder
		rules[i].write(&text, "")
		for line := range strings.Lines(text.String()) {
			b.WriteString("#   " + line)
		}
		if by := rules[i].DeniedBy; by != "" {
			fmt.Fprintf(b, "#   # denied by %s\n", word(by))
		}
	}
}

func list[T any](values []T, text func(T) string) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = text(v)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// plainText is what YAML reads as a string without quotes, wherever it stands.
var plainText = regexp.MustCompile(`^(/[A-Za-z0-9/._-]*|[a-z][a-z0-9-]*(\.[a-z0-9-]+)*\.[a-z][a-z0-9-]*|GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$`)

// quoted is a YAML string, in double quotes where it needs them: ASCII is read by
// YAML as Go writes it.
func quoted(s string) string {
	if plainText.MatchString(s) {
		return s
	}
	return strconv.QuoteToASCII(s)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// word keeps what a record says from ending a comment.
func word(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return strconv.QuoteToASCII(s)
}

// mostAgents is how many agents a comment names.
const mostAgents = 5

func byAgents(agents []ByAgent) string {
	texts := make([]string, 0, mostAgents)
	for i, a := range agents {
		if i == mostAgents {
			return strings.Join(texts, ", ") + fmt.Sprintf(" and %d more", len(agents)-i)
		}
		text := word(a.Agent)
		if len(agents) > 1 {
			text += fmt.Sprintf(" (%d)", a.Times)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func exchanges(n int64) string {
	if n == 1 {
		return "1 exchange"
	}
	return fmt.Sprintf("%d exchanges", n)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
