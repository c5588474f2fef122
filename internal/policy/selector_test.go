package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/strictyaml"
)

func selector(t *testing.T, on string) *Selector {
	t.Helper()
	var r strictyaml.Reader
	s := ReadSelector(&r, r.Document("c.yaml", []byte(on)))
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSelectorsPick(t *testing.T) {
	var s Selectors
	for _, on := range []string{
		"{hosts: [api.bank.example], methods: [POST], paths: [/v1/payments]}",
		"{hosts: ['*.bank.example'], ports: [8443]}",
		"{hosts: ['**.bank.example'], methods: [PUT], paths: ['/v2/**']}",
	} {
		s.Add(selector(t, on))
	}
	for in, want := range map[string]int{
		"POST https://api.bank.example/v1/payments":         0,
		"POST https://api.bank.example:9443/v1/payments":    0, // what is left out restricts nothing
		"POST http://api.bank.example/v1/payments":          0,
		"GET https://api.bank.example/v1/payments":          -1,
		"POST https://api.bank.example/v1/refunds":          -1,
		"POST https://api.bank.example/v1//payments":        0, // read in several ways: picked
		"POST https://api.bank.example/v1%2fpayments":       0,
		"POST https://api.bank.example/v1/x/../payments":    0,
		"POST https://api.bank.example/v1/payments/../list": -1,
		"POST https://api.bank.example/v1/p%61yments":       0,
		"POST https://api.bank.example/V1/Payments":         0, // servers that ignore case
		"post https://api.bank.example/v1/payments":         0,
		"POST https://api.bank.example/v1/payments/":        0, // and a slash at the end
		"POST https://api.bank.example/v1/Payments/.":       0,
		"POST https://api.bank.example/v1/payments?x=1":     0,
		"PUT https://a.b.bank.example/V2/x/":                2,
		"GET https://api.bank.example:8443/":                1,
		"GET https://a.b.bank.example:8443/":                -1,
		"PUT https://a.b.bank.example/v2/x":                 2,
		"POST https://other.example/v1/payments":            -1,
	} {
		if got := s.Pick(request(t, in)); got != want {
			t.Errorf("%s: selector %d, want %d", in, got, want)
		}
	}
	r := request(t, "POST https://api.bank.example/v1/payments")
	r.Tunnel = true
	if got := s.Pick(r); got != -1 {
		t.Errorf("a CONNECT is picked by %d", got)
	}
}

func TestSelectorsOverlap(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"{hosts: [a.example]}", "{hosts: [a.example]}", true},
		{"{hosts: [a.example]}", "{hosts: [b.example]}", false},
		{"{hosts: [a.example]}", "{hosts: ['*.example']}", true},
		{"{hosts: [b.a.example]}", "{hosts: ['*.example']}", false},
		{"{hosts: [b.a.example]}", "{hosts: ['**.example']}", true},
		{"{hosts: ['*.a.example']}", "{hosts: ['**.example']}", true},
		{"{hosts: ['**.a.example']}", "{hosts: ['**.example']}", true},
		{"{hosts: ['*.a.example']}", "{hosts: ['*.example']}", false},
		{"{hosts: ['**.a.example']}", "{hosts: ['*.a.example']}", true},
		{"{hosts: [192.0.2.1]}", "{hosts: [192.0.2.1]}", true},
		{"{hosts: [a.example], ports: [443]}", "{hosts: [a.example], ports: [80]}", false},
		{"{hosts: [a.example], ports: [443]}", "{hosts: [a.example]}", true},
		{"{hosts: [a.example], methods: [GET]}", "{hosts: [a.example], methods: [POST]}", false},
		{"{hosts: [a.example], paths: [/a]}", "{hosts: [a.example], paths: [/b]}", false},
		{"{hosts: [a.example], paths: [/a/*]}", "{hosts: [a.example], paths: [/a/b]}", true},
		{"{hosts: [a.example], paths: [/a/*]}", "{hosts: [a.example], paths: [/a/]}", false},
		{"{hosts: [a.example], paths: [/a/x*]}", "{hosts: [a.example], paths: ['/a/*y']}", true},
		{"{hosts: [a.example], paths: [/a/x*z]}", "{hosts: [a.example], paths: ['/a/*y']}", false},
		{"{hosts: [a.example], paths: ['/a/**']}", "{hosts: [a.example], paths: [/a/b/c]}", true},
		{"{hosts: [a.example], paths: ['/a/**']}", "{hosts: [a.example], paths: [/a]}", false},
		{"{hosts: [a.example], paths: ['/a/**']}", "{hosts: [a.example], paths: ['/*/b/**']}", true},
		{"{hosts: [a.example], paths: ['/a/**']}", "{hosts: [a.example], paths: ['/b/**']}", false},
		{"{hosts: [a.example], paths: ['/**']}", "{hosts: [a.example], paths: [/]}", true},
		{"{hosts: [a.example], paths: ['/" + strings.Repeat("*a", 60) + "']}", "{hosts: [a.example], paths: ['/" + strings.Repeat("a*", 60) + "b']}", false},
	} {
		a, b := selector(t, tt.a), selector(t, tt.b)
		if a.Overlaps(b) != tt.want || b.Overlaps(a) != tt.want {
			t.Errorf("%s and %s: %t and %t, want %t", tt.a, tt.b, a.Overlaps(b), b.Overlaps(a), tt.want)
		}
	}
}

func TestUnseen(t *testing.T) {
	const contract = "{hosts: [api.bank.example]}"
	for name, tt := range map[string]struct{ rules, on, want string }{
		"intercepted":                      {"{name: r, hosts: [api.bank.example], intercept: true}", contract, ""},
		"intercepted by a star":            {"{name: r, hosts: ['*.bank.example'], intercept: true}", contract, ""},
		"in the clear":                     {"{name: r, hosts: [api.bank.example], schemes: [http], ports: [80]}", contract, ""},
		"not listed":                       {"{name: r, hosts: [b.bank.example], intercept: true}", contract, `no rule shows requests to "api.bank.example": a rule that lists it needs intercept: true, or the scheme http`},
		"opaque":                           {"{name: r, hosts: [api.bank.example]}", contract, `no rule shows requests to "api.bank.example": a rule that lists it needs intercept: true, or the scheme http`},
		"half of a wildcard":               {"{name: r, hosts: [a.bank.example], intercept: true}", "{hosts: ['*.bank.example']}", `no rule shows requests to "*.bank.example": a rule that lists it needs intercept: true, or the scheme http`},
		"another rule intercepts the port": {"{name: r, hosts: [api.bank.example], intercept: true}\n  - {name: s, hosts: ['**.bank.example']}", contract, ""},
		"another port":                     {"{name: r, hosts: [api.bank.example], intercept: true}\n  - {name: s, hosts: ['**.bank.example'], ports: [8443]}", contract, `rule "s" lets requests to "api.bank.example" through in an opaque tunnel, where nothing of them can be seen: add intercept: true to it`},
		"another port that the contract leaves out": {"{name: r, hosts: [api.bank.example], intercept: true}\n  - {name: s, hosts: ['**.bank.example'], ports: [8443]}", "{hosts: [api.bank.example], ports: [443]}", ""},
		"another agent": {"{name: r, hosts: [api.bank.example], agents: [a], intercept: true}\n  - {name: s, hosts: [api.bank.example], agents: [a, b]}", contract, `rule "s" lets requests to "api.bank.example" through in an opaque tunnel, where nothing of them can be seen: add intercept: true to it`},
	} {
		p := compile(t, "version: 1\nrules:\n  - "+tt.rules+"\n")
		if got := strings.Join(p.Unseen(selector(t, tt.on)), "\n"); got != tt.want {
			t.Errorf("%s: %s", name, fmt.Sprintf("got %q, want %q", got, tt.want))
		}
	}
}
