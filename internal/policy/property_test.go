package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Small alphabets, so that patterns and hosts meet.
var (
	drawHost = rapid.Custom(func(t *rapid.T) string {
		labels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab"}), 0, 3).Draw(t, "labels")
		return strings.Join(append(labels, "x", "example"), ".")
	})
	drawPattern = rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"", "*.", "**."}).Draw(t, "prefix") + drawHost.Draw(t, "host")
	})
	drawRule = rapid.Custom(func(t *rapid.T) testRule {
		return testRule{
			hosts:     rapid.SliceOfN(drawPattern, 1, 3).Draw(t, "hosts"),
			ports:     rapid.SampledFrom([]string{"443", "80", "80, 443"}).Draw(t, "ports"),
			schemes:   rapid.SampledFrom([]string{"https", "http, https"}).Draw(t, "schemes"),
			methods:   rapid.SampledFrom([]string{"", "GET", "GET, POST"}).Draw(t, "methods"),
			paths:     rapid.SampledFrom([]string{"", "/v1/**", "/, /v1/a"}).Draw(t, "paths"),
			intercept: rapid.Bool().Draw(t, "intercept"),
		}
	})
	drawRequest = rapid.Custom(func(t *rapid.T) string {
		host := drawHost.Draw(t, "host") + rapid.SampledFrom([]string{":80", ":443"}).Draw(t, "port")
		method := rapid.SampledFrom([]string{"CONNECT", "GET", "POST", "PUT"}).Draw(t, "method")
		if method == "CONNECT" {
			return method + " " + host
		}
		return method + " " + rapid.SampledFrom([]string{"http", "https"}).Draw(t, "scheme") + "://" + host +
			rapid.SampledFrom([]string{"/", "/v1/a", "/v1/", "/v2", "/v1/..%2f"}).Draw(t, "path")
	})
)

type testRule struct {
	hosts                          []string
	ports, schemes, methods, paths string
	intercept                      bool
}

// policyText writes the rules; what must be intercepted to be held, is.
func policyText(rules []testRule, deny []string) string {
	var b strings.Builder
	b.WriteString("version: 1\n")
	if len(rules) > 0 {
		b.WriteString("rules:\n")
	}
	for i, r := range rules {
		fmt.Fprintf(&b, "  - {name: r%d, hosts: %s, ports: [%s], schemes: [%s]", i, flow(r.hosts), r.ports, r.schemes)
		if r.methods != "" {
			fmt.Fprintf(&b, ", methods: [%s]", r.methods)
		}
		if r.paths != "" {
			fmt.Fprintf(&b, ", paths: [%s]", r.paths)
		}
		fmt.Fprintf(&b, ", intercept: %v}\n", r.intercept || r.methods+r.paths != "")
	}
	if len(deny) > 0 {
		fmt.Fprintf(&b, "deny: [{name: deny, hosts: %s}]\n", flow(deny))
	}
	return b.String()
}

func flow(list []string) string {
	return `["` + strings.Join(list, `", "`) + `"]`
}

// naiveMatch is the definition of a host pattern, label by label.
func naiveMatch(pattern, host string) bool {
	p, h := strings.Split(pattern, "."), strings.Split(host, ".")
	switch p[0] {
	case "*":
		return len(h) == len(p) && slices.Equal(p[1:], h[1:])
	case "**":
		return len(h) >= len(p) && slices.Equal(p[1:], h[len(h)-len(p)+1:])
	}
	return slices.Equal(p, h)
}

func TestIndexMatchesByLabel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		patterns := rapid.SliceOfN(drawPattern, 1, 8).Draw(rt, "patterns")
		host := drawHost.Draw(rt, "host")
		var index hostIndex
		for i, s := range patterns {
			p, err := parseHostPattern(s)
			if err != nil {
				rt.Fatal(err)
			}
			index.add(p, &rule{index: i})
		}
		var got, want []int
		index.each(&Target{Host: host}, func(entries []entry) {
			for _, e := range entries {
				got = append(got, e.rule.index)
			}
		})
		for i, s := range patterns {
			if naiveMatch(s, host) {
				want = append(want, i)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			rt.Fatalf("%q in %q: got %v, want %v", host, patterns, got, want)
		}
	})
}

func TestDecideProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rules := rapid.SliceOfN(drawRule, 0, 6).Draw(rt, "rules")
		deny := rapid.SliceOfN(drawPattern, 0, 2).Draw(rt, "deny")
		in := request(t, drawRequest.Draw(rt, "request"))
		d := compile(t, policyText(rules, deny)).Decide(in)

		if d.Allowed != (d.Reason == OK) {
			rt.Fatalf("%+v", d)
		}
		shuffled := rapid.Permutation(rules).Draw(rt, "shuffled")
		s := compile(t, policyText(shuffled, deny)).Decide(in)
		if s.Allowed != d.Allowed || s.Reason != d.Reason || s.Intercept != d.Intercept {
			rt.Fatalf("order counts: %+v, %+v", d, s)
		}
		more := slices.Concat(rules, []testRule{drawRule.Draw(rt, "one more")})
		if m := compile(t, policyText(more, deny)).Decide(in); d.Allowed && !m.Allowed {
			rt.Fatalf("one rule more denies: %+v, %+v", d, m)
		}
		denied := slices.ContainsFunc(deny, func(p string) bool { return naiveMatch(p, in.Target.Host) })
		if denied != (d.Reason == HostDenied) {
			rt.Fatalf("on the deny list: %v, decision %+v", denied, d)
		}
		listed := slices.ContainsFunc(rules, func(r testRule) bool {
			return slices.ContainsFunc(r.hosts, func(p string) bool { return naiveMatch(p, in.Target.Host) })
		})
		if !denied && listed == (d.Reason == HostNotAllowed) {
			rt.Fatalf("listed: %v, decision %+v", listed, d)
		}
	})
}

func TestGlobIsItsRegularExpression(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pattern := "/" + rapid.StringOfN(rapid.RuneFrom([]rune("ab/*")), 0, 8, -1).Draw(rt, "pattern")
		text := "/" + rapid.StringOfN(rapid.RuneFrom([]rune("ab/")), 0, 10, -1).Draw(rt, "text")
		prefix := rapid.Bool().Draw(rt, "prefix")
		if prefix {
			pattern += "/" // as path patterns have it
		}
		expr := "^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, "[^/]+")
		if !prefix {
			expr += "$"
		}
		if got, want := glob(pattern, text, prefix), regexp.MustCompile(expr).MatchString(text); got != want {
			rt.Fatalf("glob(%q, %q, %v) = %v, want %v", pattern, text, prefix, got, want)
		}
	})
}

// TestParserNormalizes: whatever the spelling, one host comes out, and a rule for
// it means the same one.
func TestParserNormalizes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		host := drawHost.Draw(rt, "host")
		spelled := strings.Map(func(r rune) rune {
			if r != '.' && rapid.Bool().Draw(rt, "upper") {
				return r - 'a' + 'A'
			}
			return r
		}, host)
		if rapid.Bool().Draw(rt, "dot") {
			spelled += "."
		}
		target, err := ParseAuthority(spelled + ":443")
		if err != nil || target.Host != host {
			rt.Fatalf("%q becomes %q, %v", spelled, target.Host, err)
		}
		if p, err := parseHostPattern(spelled); err != nil || p.name != host {
			rt.Fatalf("rule %q becomes %q, %v", spelled, p.name, err)
		}
	})
}
