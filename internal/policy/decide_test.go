package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func compile(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Compile([]File{{Path: "policy.yaml", Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// request reads "METHOD URL [agent]" or "CONNECT host:port [agent]".
func request(t testing.TB, s string) *Request {
	t.Helper()
	method, rest, _ := strings.Cut(s, " ")
	where, agent, _ := strings.Cut(rest, " ")
	parse := ParseAbsolute
	if method == "CONNECT" {
		parse = ParseAuthority
	}
	target, err := parse(where)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return &Request{Target: target, Method: method, Agent: agent, Tunnel: method == "CONNECT"}
}

const everyLayer = `
version: 1
deny:
  - {name: paste, hosts: ["**.paste.example", secret.api.example, 192.0.2.66]}
  - {name: late, hosts: ["*.paste.example"]}
rules:
  - {name: api, hosts: [api.example], methods: [GET, POST], paths: ["/v1/**", /health], intercept: true}
  - {name: api-wide, hosts: [api.example], ports: [8443], schemes: [https, wss]}
  - {name: one, hosts: ["*.one.example"]}
  - {name: many, hosts: ["**.many.example"], intercept: true}
  - {name: plain, hosts: [plain.example, "*.api.example", "**.paste.example"], schemes: [http, ws], ports: [80, 8080], methods: [GET]}
  - {name: literal, hosts: [192.0.2.7, "2001:db8::7", "[2001:db8::8]", 192.0.2.66]}
  - {name: mine, hosts: [mine.example], agents: [alice, bob]}
  - {name: shared-tunnel, hosts: [both.example]}
  - {name: shared-seen, hosts: [both.example], methods: [GET], intercept: true}
  - {name: star, hosts: [star.example, "*.star.example"], agents: ["*"]}
  - {name: specific, hosts: ["**.deep.example", "*.deep.example", a.deep.example]}
`

func TestDecideLayers(t *testing.T) {
	p := compile(t, everyLayer)
	for _, tt := range []struct {
		in     string
		reason Reason
		rule   string
		extra  string // intercept, pattern
	}{
		{"CONNECT api.example:443", OK, "api", "intercept api.example"},
		{"CONNECT api.example:8443", OK, "api-wide", "api.example"},
		{"CONNECT api.example:80", PortNotAllowed, "api", "api.example"},
		{"GET https://api.example/v1/x", OK, "api", "api.example"},
		{"GET https://api.example/health", OK, "api", "api.example"},
		{"PUT https://api.example/v1/x", MethodNotAllowed, "api", "api.example"},
		{"get https://api.example/v1/x", MethodNotAllowed, "api", "api.example"},
		{"GET https://api.example/v2/x", PathNotAllowed, "api", "api.example"},
		{"GET https://api.example/v1/..%2fadmin", PathNotAllowed, "api", "api.example"},
		{"GET http://api.example:443/v1/x", SchemeNotAllowed, "api", "api.example"},
		{"GET wss://api.example/v1/x", PortNotAllowed, "api-wide", "api.example"},
		{"GET wss://api.example:8443/v1/x", OK, "api-wide", "api.example"},
		{"GET https://xapi.example/", HostNotAllowed, "", ""},
		{"GET https://api.example.evil.example/", HostNotAllowed, "", ""},
		{"GET https://example/", HostNotAllowed, "", ""},

		{"CONNECT a.one.example:443", OK, "one", "*.one.example"},
		{"CONNECT one.example:443", HostNotAllowed, "", ""},
		{"CONNECT a.b.one.example:443", HostNotAllowed, "", ""},
		{"CONNECT a.many.example:443", OK, "many", "intercept **.many.example"},
		{"CONNECT a.b.c.many.example:443", OK, "many", "intercept **.many.example"},
		{"CONNECT many.example:443", HostNotAllowed, "", ""},

		{"GET http://plain.example/", OK, "plain", "plain.example"},
		{"GET http://plain.example:8080/..;/%2f", OK, "plain", "plain.example"},
		{"GET ws://plain.example/", OK, "plain", "plain.example"},
		{"POST http://plain.example/", MethodNotAllowed, "plain", "plain.example"},
		{"GET http://plain.example:81/", PortNotAllowed, "plain", "plain.example"},
		{"CONNECT plain.example:80", SchemeNotAllowed, "plain", "plain.example"},
		{"GET http://x.api.example/", OK, "plain", "*.api.example"},

		{"GET http://x.paste.example/", HostDenied, "paste", "**.paste.example"},
		{"GET http://secret.api.example/", HostDenied, "paste", "secret.api.example"},
		{"CONNECT a.b.paste.example:1", HostDenied, "paste", "**.paste.example"},
		{"CONNECT 192.0.2.66:443", HostDenied, "paste", "192.0.2.66"},

		{"CONNECT 192.0.2.7:443", OK, "literal", "192.0.2.7"},
		{"CONNECT 192.0.2.7:80", PortNotAllowed, "literal", "192.0.2.7"},
		{"CONNECT 192.0.2.8:443", HostNotAllowed, "", ""},
		{"CONNECT [2001:db8::7]:443", OK, "literal", "2001:db8::7"},
		{"CONNECT [2001:db8:0::8]:443", OK, "literal", "2001:db8::8"},
		{"CONNECT [::192.0.2.7]:443", HostNotAllowed, "", ""},

		{"CONNECT mine.example:443 alice", OK, "mine", "mine.example"},
		{"CONNECT mine.example:443 mallory", HostNotAllowed, "", ""},
		{"CONNECT mine.example:443", HostNotAllowed, "", ""},
		{"CONNECT a.star.example:443 mallory", OK, "star", "*.star.example"},

		{"CONNECT both.example:443", OK, "shared-tunnel", "intercept both.example"},
		{"PUT https://both.example/", OK, "shared-tunnel", "both.example"},
		{"CONNECT a.deep.example:443", OK, "specific", "a.deep.example"},
		{"CONNECT b.deep.example:443", OK, "specific", "*.deep.example"},
		{"CONNECT a.b.deep.example:443", OK, "specific", "**.deep.example"},
	} {
		d := p.Decide(request(t, tt.in))
		intercept := strings.HasPrefix(tt.extra, "intercept ")
		want := Decision{
			Allowed: tt.reason == OK, Reason: tt.reason, Rule: tt.rule, Mode: Enforce,
			Intercept: intercept, Pattern: strings.TrimPrefix(tt.extra, "intercept "),
		}
		if !reflect.DeepEqual(d, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.in, d, want)
		}
		if d.Carries() != d.Allowed {
			t.Errorf("%s: enforce carries what is denied", tt.in)
		}
	}
}

func TestEmptyPolicyDeniesEverything(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "null\n", "version: 1\n", "version: 1\nmode: enforce\n"} {
		p := compile(t, text)
		for _, in := range []string{"CONNECT example.com:443", "GET http://example.com/", "CONNECT 192.0.2.1:443", "CONNECT localhost:443"} {
			if d := p.Decide(request(t, in)); d.Allowed || d.Carries() || d.Reason != HostNotAllowed {
				t.Errorf("policy %q, %s: %+v", text, in, d)
			}
		}
	}
	if p, err := Compile(nil); err != nil || p.Mode() != Enforce {
		t.Errorf("Compile(nil) = %+v, %v", p, err)
	}
}

// TestZeroTargetIsDenied: a target that no parser made fits no rule.
func TestZeroTargetIsDenied(t *testing.T) {
	p := compile(t, everyLayer)
	for _, r := range []Request{{}, {Tunnel: true}, {Target: Target{Host: "api.example"}}, {Target: Target{Scheme: "https", Host: "api.example", Port: 443, Path: "/v1/x"}, Method: "GET"}} {
		if d := p.Decide(&r); d.Allowed {
			t.Errorf("%+v: %+v", r, d)
		}
	}
}

func TestReportModeRelaxesRulesOnly(t *testing.T) {
	p := compile(t, "mode: report\n"+everyLayer)
	for _, in := range []string{
		"CONNECT unknown.example:443", "CONNECT api.example:22", "PUT https://api.example/v1/x", "GET https://api.example/v2", "GET http://api.example:443/", "GET http://x.paste.example/",
	} {
		d := p.Decide(request(t, in))
		if d.Allowed || !d.Carries() || d.Intercept || d.Mode != Report {
			t.Errorf("%s: %+v, carries %v", in, d, d.Carries())
		}
	}
	relaxed := []Reason{HostNotAllowed, HostDenied, SchemeNotAllowed, PortNotAllowed, MethodNotAllowed, PathNotAllowed, SuspiciousPattern}
	for _, r := range Reasons() {
		if got, want := (Decision{Mode: Report, Reason: r}).Carries(), slices.Contains(relaxed, r); got != want {
			t.Errorf("report mode carries %s: %v, want %v", r, got, want)
		}
		if (Decision{Mode: Enforce, Reason: r}).Carries() {
			t.Errorf("enforce mode carries %s", r)
		}
	}
}

func TestPolicyTells(t *testing.T) {
	p := compile(t, everyLayer+"addresses: {allow: [10.20.0.0/16, fd00:1::/32]}\n")
	if got, want := p.InterceptedHosts(), []string{"**.many.example", "api.example", "both.example"}; !slices.Equal(got, want) {
		t.Errorf("InterceptedHosts = %q, want %q", got, want)
	}
	if got, want := fmt.Sprint(p.Holes()), "[10.20.0.0/16 fd00:1::/32]"; got != want {
		t.Errorf("Holes = %s, want %s", got, want)
	}
	p.InterceptedHosts()[0], p.Holes()[0] = "changed", p.Holes()[1]
	if p.InterceptedHosts()[0] == "changed" || p.Holes()[0] == p.Holes()[1] {
		t.Error("a caller can change the policy")
	}
}

func TestReasons(t *testing.T) {
	seen := make(map[Reason]bool)
	for _, r := range Reasons() {
		if seen[r] {
			t.Errorf("%s is there twice", r)
		}
		seen[r] = true
		if len(r.Hint()) < 20 || !strings.HasSuffix(r.Hint(), ".") || len(r.Hint()) > 300 {
			t.Errorf("%s: hint %q", r, r.Hint())
		}
		if (r.Layer() == "") != (r == OK) {
			t.Errorf("%s: layer %q", r, r.Layer())
		}
	}
	if len(seen) != 32 {
		t.Errorf("%d reasons, and the design has 32", len(seen))
	}
	if Reason("x").Hint() != "" || Reason("x").Layer() != "" {
		t.Error("what is no reason has a hint or a layer")
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	p := tenThousandRules(t)
	for _, in := range []string{
		"CONNECT api-5000.example.com:443", "GET https://x.eu.wild-5001.example.net/v1/a", "CONNECT unknown.example:443", "CONNECT 192.0.2.7:443", "CONNECT denied.example:443",
	} {
		r := request(t, in)
		if n := testing.AllocsPerRun(100, func() { p.Decide(r) }); n != 0 {
			t.Errorf("%s: %v allocations", in, n)
		}
	}
}

func tenThousandRules(t testing.TB) *Policy {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\ndeny: [{name: no, hosts: [denied.example]}]\nrules:\n")
	for i := range 10_000 {
		host := fmt.Sprintf("api-%d.example.com", i)
		if i%2 == 1 {
			host = fmt.Sprintf("**.wild-%d.example.net", i)
		}
		fmt.Fprintf(&b, "  - {name: r%d, hosts: [%q], methods: [GET, POST], paths: [\"/v1/**\"], intercept: true}\n", i, host)
	}
	return compile(t, b.String())
}

func BenchmarkDecide(b *testing.B) {
	p := tenThousandRules(b)
	for name, in := range map[string]string{
		"tunnel":   "CONNECT api-5000.example.com:443",
		"request":  "POST https://api-5000.example.com/v1/chat/completions?x=1",
		"wildcard": "GET https://x.eu.wild-5001.example.net/v1/a",
		"unknown":  "CONNECT telemetry.unknown.example:443",
	} {
		r := request(b, in)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(r)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for name, parse := range map[string]func() error{
		"authority": func() error { _, err := ParseAuthority("api.example.com:443"); return err },
		"absolute":  func() error { _, err := ParseAbsolute("http://api.example.com/v1/chat?x=1"); return err },
		"idna":      func() error { _, err := ParseAuthority("xn--bcher-kva.example:443"); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := parse(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	var text strings.Builder
	text.WriteString("version: 1\nrules:\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "  - {name: r%d, hosts: [api-%d.example.com], methods: [GET, POST], paths: [\"/v1/**\"], intercept: true}\n", i, i)
	}
	files := []File{{Path: "policy.yaml", Data: []byte(text.String())}}
	for b.Loop() {
		if _, err := Compile(files); err != nil {
			b.Fatal(err)
		}
	}
}
