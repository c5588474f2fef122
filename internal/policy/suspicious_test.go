package policy

import (
	"slices"
	"strings"
	"testing"
)

const somePatterns = `
version: 1
rules:
  - {name: web, hosts: ["**.web.example"], schemes: [http, https], ports: [80, 443], methods: [GET], intercept: true}
deny:
  - {name: no, hosts: [no.web.example]}
patterns:
  - {name: metadata, match: "metadata\\.google|169\\.254\\.", action: deny}
  - {name: key, match: "sk-[A-Za-z0-9]{8}", action: flag}
  - {name: long, match: "^[^/.]{40}", action: flag}
  - {name: admin, match: "^/admin(/|$)", action: flag}
  - {name: words, match: "drop table", action: deny}
`

func TestPatterns(t *testing.T) {
	long := strings.Repeat("a", 40)
	for _, tt := range []struct {
		in     string
		reason Reason
		rule   string
		flags  []string
	}{
		{in: "GET http://a.web.example/", reason: OK, rule: "web"},
		{in: "GET http://a.web.example/?next=http://169.254.169.254/", reason: SuspiciousPattern, rule: "metadata"},
		{in: "GET http://a.web.example/?next=http%3a%2f%2f169%2E254%2e169.254/", reason: SuspiciousPattern, rule: "metadata"},
		{in: "GET http://a.web.example/?bad=%zz%&next=169%2e254.169.254", reason: SuspiciousPattern, rule: "metadata"},
		{in: "GET http://a.web.example/169%2e254%2e/", reason: SuspiciousPattern, rule: "metadata"},
		{in: "GET http://metadata.google.web.example/", reason: SuspiciousPattern, rule: "metadata"},
		{in: "CONNECT metadata.google.web.example:443", reason: SuspiciousPattern, rule: "metadata"},
		{in: "GET http://a.web.example/?q=drop+table", reason: SuspiciousPattern, rule: "words"},
		{in: "GET http://a.web.example/?q=drop%20table&sk-12345678", reason: SuspiciousPattern, rule: "words", flags: []string{"key"}},
		{in: "GET http://a.web.example/drop+table", reason: OK, rule: "web"}, // a plus is a blank in a query only
		{in: "GET http://a.web.example/x/sk-12345678", reason: OK, rule: "web", flags: []string{"key"}},
		{in: "GET http://" + long + ".web.example/admin?sk-12345678", reason: OK, rule: "web", flags: []string{"key", "long", "admin"}},
		{in: "CONNECT " + long + ".web.example:443", reason: OK, rule: "web", flags: []string{"long"}},
		{in: "GET http://a.web.example/x/admin", reason: OK, rule: "web"},

		// A layer before them decides first.
		{in: "PUT http://a.web.example/?169.254.169.254", reason: MethodNotAllowed, rule: "web"},
		{in: "GET http://no.web.example/?169.254.169.254&sk-12345678", reason: HostDenied, rule: "no"},
		{in: "GET http://169.254.169.254/", reason: HostNotAllowed},
	} {
		d := compile(t, somePatterns).Decide(request(t, tt.in))
		if d.Reason != tt.reason || d.Rule != tt.rule || d.Allowed != (tt.reason == OK) || !slices.Equal(d.Flags, tt.flags) {
			t.Errorf("%s: %+v", tt.in, d)
		}
	}
}

// TestPatternsInReportMode: a pattern that denies is tried out like a rule, and
// what a rule would deny can still be flagged, since it goes on.
func TestPatternsInReportMode(t *testing.T) {
	p := compile(t, "mode: report\n"+somePatterns)
	for _, tt := range []struct {
		in     string
		reason Reason
		flags  []string
	}{
		{"GET http://a.web.example/?169.254.169.254&sk-12345678", SuspiciousPattern, []string{"key"}},
		{"PUT http://a.web.example/?169.254.169.254&sk-12345678", MethodNotAllowed, []string{"key"}},
		{"GET http://no.web.example/?sk-12345678", HostDenied, []string{"key"}},
		{"GET http://unknown.example/?sk-12345678", HostNotAllowed, []string{"key"}},
	} {
		d := p.Decide(request(t, tt.in))
		if d.Allowed || !d.Carries() || d.Reason != tt.reason || !slices.Equal(d.Flags, tt.flags) {
			t.Errorf("%s: %+v", tt.in, d)
		}
	}
	// What the pattern would deny still goes where its rule sends it.
	if d := p.Decide(request(t, "CONNECT metadata.google.web.example:443")); !d.Intercept || d.Reason != SuspiciousPattern {
		t.Errorf("%+v", d)
	}
}

func TestPatternsDoNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("package regexp takes its memory from a sync.Pool, which forgets at random under the race detector")
	}
	p := compile(t, somePatterns)
	for _, in := range []string{"CONNECT a.web.example:443", "GET http://a.web.example/some/path?a=b", "GET http://a.web.example/?169.254.169.254"} {
		r := request(t, in)
		if n := testing.AllocsPerRun(100, func() { p.Decide(r) }); n != 0 {
			t.Errorf("%s: %v allocations", in, n)
		}
	}
}

func BenchmarkPatterns(b *testing.B) {
	p := compile(b, somePatterns)
	r := request(b, "GET http://a.web.example/v1/chat/completions?stream=true&model=x")
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(r)
	}
}
