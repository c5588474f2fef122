package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestExplain(t *testing.T) {
	p := compile(t, everyLayer)
	for _, tt := range []struct {
		in   string
		want []string // RULE PATTERN REASON CHANGE; CHANGE
	}{
		{"PUT https://api.example/v2", []string{"api api.example HEL_METHOD_NOT_ALLOWED methods: [GET, POST, PUT]; paths: [\"/v1/**\", /health, /v2]", "api-wide api.example HEL_PORT_NOT_ALLOWED ports: [8443, 443]"}},
		{"GET https://api.example/v1/..%2fx", []string{"api api.example HEL_PATH_NOT_ALLOWED", "api-wide api.example HEL_PORT_NOT_ALLOWED ports: [8443, 443]"}},
		{"PROPFIND https://api.example/v1/x", []string{"api api.example HEL_METHOD_NOT_ALLOWED methods: [GET, POST, \"PROPFIND\"]", "api-wide api.example HEL_PORT_NOT_ALLOWED ports: [8443, 443]"}},
		{"get http://plain.example/", []string{"plain plain.example HEL_METHOD_NOT_ALLOWED"}},
		{"GET https://plain.example/x", []string{"plain plain.example HEL_SCHEME_NOT_ALLOWED schemes: [http, ws, https]; ports: [80, 8080, 443]; intercept: true"}},
		{"GET https://mine.example/ mallory", []string{"mine mine.example HEL_HOST_NOT_ALLOWED agents: [\"alice\", \"bob\", \"mallory\"]"}},
		{"GET http://192.0.2.7/", []string{"literal 192.0.2.7 HEL_SCHEME_NOT_ALLOWED schemes: [https, http]; ports: [443, 80]"}},
		{"GET https://192.0.2.9/", nil},
		{"GET https://x.y.star.example/", []string{
			"star star.example HEL_HOST_NOT_ALLOWED hosts: [star.example, \"*.star.example\", x.y.star.example]",
		}},
		{"GET https://unknown.test/", nil},
		{"GET https://example/", nil},
	} {
		var got []string
		for _, n := range p.Explain(request(t, tt.in)) {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", n.Rule, n.Pattern, n.Reason, strings.Join(n.Changes, "; "))))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.in, got, tt.want)
		}
	}
}

// TestExplainNeighbours: rules of the same registered domain, the nearest first.
func TestExplainNeighbours(t *testing.T) {
	p := compile(t, `
version: 1
rules:
  - {name: far, hosts: [example.co.uk, www.example.co.uk]}
  - {name: other, hosts: [other.co.uk]}
  - {name: near, hosts: ["*.eu.example.co.uk"]}
  - {name: nearest, hosts: ["**.s3.eu.example.co.uk", x.example.co.uk], ports: [8443]}
`)
	var got []string
	for _, n := range p.Explain(request(t, "GET https://a.b.s4.eu.example.co.uk/")) {
		got = append(got, n.Rule+" "+n.Pattern+" "+strings.Join(n.Changes, "; "))
	}
	want := []string{
		`near *.eu.example.co.uk hosts: ["*.eu.example.co.uk", a.b.s4.eu.example.co.uk]`,
		`nearest **.s3.eu.example.co.uk hosts: ["**.s3.eu.example.co.uk", x.example.co.uk, a.b.s4.eu.example.co.uk]; ports: [8443, 443]`,
		`far example.co.uk hosts: [example.co.uk, www.example.co.uk, a.b.s4.eu.example.co.uk]`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

// TestExplainedChangesSuffice: a rule that is changed as Explain says allows the
// request.
func TestExplainedChangesSuffice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rule := drawRule.Draw(rt, "rule")
		in := request(t, drawRequest.Draw(rt, "request"))
		if in.Tunnel {
			rt.Skip("requests inside are explained")
		}
		keys := map[string]string{
			"hosts": flow(rule.hosts), "ports": "[" + rule.ports + "]", "schemes": "[" + rule.schemes + "]", "intercept": fmt.Sprint(rule.intercept || rule.methods+rule.paths != ""),
		}
		if rule.methods != "" {
			keys["methods"] = "[" + rule.methods + "]"
		}
		if rule.paths != "" {
			keys["paths"] = "[" + rule.paths + "]"
		}
		p := compile(t, oneRule(keys))
		near := p.Explain(in)
		if p.Decide(in).Allowed {
			if len(near) > 0 {
				rt.Fatalf("%+v explains what is allowed", near)
			}
			return
		}
		if len(near) != 1 {
			rt.Fatalf("%+v", near)
		}
		for _, change := range near[0].Changes {
			key, value, _ := strings.Cut(change, ": ")
			keys[key] = value
		}
		if _, plain := in.Target.PlainPath(); plain != (near[0].Changes != nil) && rule.paths != "" {
			rt.Fatalf("changes %q for %s", near[0].Changes, in.Target)
		}
		if d := compile(t, oneRule(keys)).Decide(in); near[0].Changes != nil && !d.Allowed {
			rt.Fatalf("%s: %+v", oneRule(keys), d)
		}
	})
}

func oneRule(keys map[string]string) string {
	var b strings.Builder
	b.WriteString("version: 1\nrules:\n  - name: r\n")
	for key, value := range keys {
		fmt.Fprintf(&b, "    %s: %s\n", key, value)
	}
	return b.String()
}

// TestNewRuleAllows: the rule that is proposed for a request is one, and allows it.
func TestNewRuleAllows(t *testing.T) {
	for _, in := range []string{
		"GET https://api.example/v1", "GET https://api.example:8443/", "GET http://api.example/", "GET ws://api.example:8080/", "GET wss://api.example/",
		"GET https://192.0.2.7/", "GET https://[2001:db8::7]/", "GET https://[::1]/", "GET https://null/", "GET http://on.example/", "GET https://" + strings.Repeat("a.", 60) + "example/",
	} {
		r := request(t, in)
		text := "version: 1\nrules:\n  " + NewRule(r) + "\n"
		if d := compile(t, text).Decide(r); !d.Allowed {
			t.Errorf("%s: %s%+v", in, text, d)
		}
	}
}
