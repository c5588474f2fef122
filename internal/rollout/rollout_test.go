package rollout

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/internal/testkit/goldenfile"
	"github.com/signet-egress/signet/receipts"
)

// opensPublic takes 10.0.0.0/8 for special, and nothing else.
func opensPublic(_ string, a netip.Addr, holes []netip.Prefix) bool {
	return !netip.MustParsePrefix("10.0.0.0/8").Contains(a) || slices.ContainsFunc(holes, func(p netip.Prefix) bool { return p.Contains(a) })
}

var clock = time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)

// seen makes the receipt of a carried exchange, allowed by the policy of the time.
func seen(minute int, agent, method, scheme, host string, port int64, path string) *receipts.Receipt {
	r := &receipts.Receipt{
		Agent: agent, Outcome: receipts.Forwarded, Count: 1,
		Policy: receipts.Policy{Allowed: true, Reason: "ok", Mode: "enforce"},
		Detail: &receipts.Detail{
			Request:   &receipts.Request{Protocol: "h1", Method: method, Scheme: scheme, Host: host, Port: port, Path: path},
			TLS:       &receipts.TLS{Mode: "none"},
			Forwarded: &receipts.ForwardedTo{PinnedIP: "192.0.2.7", Port: port},
		},
	}
	r.TS = clock.Add(time.Duration(minute) * time.Minute)
	switch {
	case method == "CONNECT":
		r.Detail.TLS.Mode = "tunnel"
	case scheme == "https" || scheme == "wss":
		r.Detail.TLS.Mode = "intercept"
	}
	return r
}

// verdict changes what a receipt says of the policy of the time.
func judged(r *receipts.Receipt, outcome receipts.Outcome, reason policy.Reason, rule string) *receipts.Receipt {
	r.Outcome, r.Policy.Allowed, r.Policy.Reason, r.Policy.Rule = outcome, reason == policy.OK, string(reason), rule
	if outcome == receipts.Denied {
		r.Detail.Forwarded = nil
	}
	return r
}

// period is a report period with something of everything.
func period() []*receipts.Receipt {
	var all []*receipts.Receipt
	add := func(r ...*receipts.Receipt) { all = append(all, r...) }
	for i := range 30 {
		add(seen(i, "billing", "POST", "https", "api.openai.com", 443, "/v1/chat/completions"))
	}
	add(
		seen(31, "reader", "GET", "https", "api.openai.com", 443, "/v1/models"),
		seen(32, "billing", "GET", "https", "api.openai.com", 443, "/v1/files/file-8f3kd93kdfkd93kd"),
		seen(33, "billing", "CONNECT", "https", "pypi.org", 443, ""),
		seen(34, "billing", "CONNECT", "https", "pypi.org", 443, ""),
		seen(35, "reader", "GET", "http", "erp.example.com", 8080, "/invoices/7"),
		seen(36, "reader", "GET", "http", "erp.example.com", 8080, "/invoices/8"),
		seen(37, "reader", "GET", "ws", "erp.example.com", 8081, "/events"),
		seen(38, "reader", "GET", "wss", "feed.example.com", 8443, "/a/..%2fb"),
		seen(39, "reader", "CONNECT", "https", "2001:db8::7", 443, ""),
		judged(seen(40, "reader", "CONNECT", "https", "telemetry.example.net", 443, ""), receipts.Forwarded, policy.HostNotAllowed, ""),
		judged(seen(41, "reader", "CONNECT", "https", "paste.example.org", 443, ""), receipts.Forwarded, policy.HostDenied, "drop-boxes"),
		judged(seen(42, "reader", "CONNECT", "https", "blocked.example.org", 443, ""), receipts.Denied, policy.HostNotAllowed, ""),
		judged(seen(43, "reader", "CONNECT", "https", "trap.example.org", 443, ""), receipts.Denied, policy.AddressDenied, "trap"),
		judged(seen(44, "billing", "CONNECT", "https", "slow.example.org", 443, ""), receipts.Failed, policy.UpstreamTimeout, "slow"),
	)
	all[len(all)-1].Policy.Allowed = true
	inside := seen(45, "billing", "CONNECT", "https", "vault.corp.example.com", 443, "")
	inside.Detail.Forwarded.PinnedIP = "10.20.0.9"
	add(inside)
	for i, path := range []string{"/simple/flask/", "/simple/requests/", "/simple/httpx/", "/simple/attrs/", "/simple/idna/", "/packages"} {
		add(seen(46+i, "billing", "GET", "https", "mirror.example.com", 443, path))
	}
	for i, host := range []string{"a.blob.example.com", "b.blob.example.com", "c.blob.example.com"} {
		add(seen(52+i, "billing", "CONNECT", "https", host, 443, ""))
	}
	add(seen(56, "billing", "CONNECT", "https", "both.example.com", 443, ""), seen(57, "billing", "GET", "https", "both.example.com", 443, "/x"))
	ssh := seen(58, "billing", "CONNECT", "https", "git.example.com", 22, "")
	ssh.Detail.TLS.Mode = "none"
	add(ssh, seen(58, "billing", "GET", "https", "git.example.com", 443, "/repo"))
	many := judged(seen(58, "reader", "GET", "http", "door.example.org", 80, "/"), receipts.Denied, policy.HostNotAllowed, "")
	many.Count = 51
	withheld := seen(59, "reader", "GET", "http", "x.example.org", 80, "/")
	withheld.Detail = nil
	malformed := judged(seen(60, "reader", "GET", "http", "x", 80, "/"), receipts.Denied, policy.TargetMalformed, "")
	malformed.Detail.Request = nil
	internal := seen(61, "reader", "CONNECT", "https", "model.example.org", 443, "")
	internal.Internal = "model"
	add(many, withheld, malformed, internal)
	return all
}

func suggest(t rapid.TB, least int64, all []*receipts.Receipt) *Proposal {
	t.Helper()
	s := NewSuggestion(least, opensPublic)
	for _, r := range all {
		s.Add(r)
	}
	return s.Proposal()
}

func compiled(t rapid.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Compile([]policy.File{{Path: "policy.yaml", Data: []byte(text)}})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

func replay(t rapid.TB, text string, all []*receipts.Receipt) Comparison {
	t.Helper()
	r := NewReplay(compiled(t, text), "sha256:00", opensPublic)
	for _, x := range all {
		r.Add(x)
	}
	return r.Result()
}

func TestSuggest(t *testing.T) {
	goldenfile.Compare(t, "suggest.yaml", suggest(t, 1, period()).Policy)
	goldenfile.Compare(t, "suggest-min.yaml", suggest(t, 2, period()).Policy)
	goldenfile.Compare(t, "suggest-nothing.yaml", suggest(t, 1, nil).Policy)
}

// TestSuggestionHolds: what was carried is allowed by the proposal, but for what
// the deny list of the time named.
func TestSuggestionHolds(t *testing.T) {
	all := period()
	result := replay(t, suggest(t, 1, all).Policy, all)
	var denied []string
	for _, c := range result.Changes {
		if c.Now == "denied" {
			denied = append(denied, c.Target)
		}
	}
	if !slices.Equal(denied, []string{"paste.example.org:443"}) || result.Undecided != 1 {
		t.Errorf("%q are denied; %+v", denied, result)
	}
}

// TestSuggestionHoldsForAnything: the same for traffic that nobody thought of.
func TestSuggestionHoldsForAnything(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) *receipts.Receipt {
		scheme := rapid.SampledFrom([]string{"http", "https", "ws", "wss"}).Draw(t, "scheme")
		method := rapid.SampledFrom([]string{"GET", "POST", "get", "M-SEARCH", "NO", "AVERYLONGMETHODTHATWASCUTFORTHERE"}).Draw(t, "method")
		path := "/" + rapid.StringOf(rapid.SampledFrom([]rune("ab/.;*%25Fé 1-_"))).Draw(t, "path")
		if rapid.Bool().Draw(t, "connect") {
			scheme, method, path = "https", "CONNECT", ""
		}
		host := rapid.SampledFrom([]string{"null", "a.example", "1.e5", "x.a.example", "192.0.2.7", "2001:db8::7", "::1", "xn--bcher-kva.example", "on.example"}).Draw(t, "host")
		r := seen(rapid.IntRange(0, 9).Draw(t, "minute"), rapid.SampledFrom([]string{"a", "b\n- c"}).Draw(t, "agent"), method, scheme, host, rapid.SampledFrom([]int64{80, 443, 8443}).Draw(t, "port"), path)
		if method == "CONNECT" && r.Detail.Request.Port == 8443 {
			r.Detail.TLS.Mode = "none"
		}
		if rapid.Bool().Draw(t, "special") {
			r.Detail.Forwarded.PinnedIP = "10.20.0.9"
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(draw, 0, 40).Draw(t, "receipts")
		text := suggest(t, 0, all).Policy
		if result := replay(t, text, all); result.NewlyDenied != 0 {
			t.Fatalf("%+v\n%s", result, text)
		}
	})
}

func TestReplay(t *testing.T) {
	all := period()
	result := replay(t, `
version: 1
rules:
  - {name: model, hosts: [api.openai.com], methods: [POST], paths: ["/v1/**"], intercept: true}
  - {name: packages, hosts: [pypi.org], methods: [GET], intercept: true}
  - {name: wide, hosts: ["**.example.org", "vault.corp.example.com", "*.blob.example.com"]}
deny:
  - {name: telemetry, hosts: ["telemetry.example.net"]}
`, all)
	type line struct {
		now, before, target string
		reason              policy.Reason
		rule                string
		times               int64
	}
	var got []line
	for _, c := range result.Changes {
		got = append(got, line{c.Now, c.Before, c.Method + " " + c.Target, c.Reason, c.Rule, c.Times})
	}
	for _, want := range []line{
		{"denied", "allowed", "GET https://api.openai.com:443/v1/models", policy.MethodNotAllowed, "model", 1},
		{"denied", "allowed", "GET http://erp.example.com:8080/invoices/7", policy.HostNotAllowed, "", 1},
		{"denied", "reported", "CONNECT telemetry.example.net:443", policy.HostDenied, "telemetry", 1},
		{"denied", "allowed", "CONNECT vault.corp.example.com:443", policy.AddressDenied, "wide", 1},
		{"allowed", "denied", "CONNECT blocked.example.org:443", policy.HostNotAllowed, "wide", 1},
		{"allowed", "reported", "CONNECT paste.example.org:443", policy.HostDenied, "wide", 1},
	} {
		if !slices.Contains(got, want) {
			t.Errorf("lacks %+v in\n%+v", want, got)
		}
	}
	for _, c := range got {
		if slices.Contains([]string{"CONNECT trap.example.org:443", "CONNECT slow.example.org:443", "GET http://door.example.org:80/"}, c.target) {
			t.Errorf("%+v has not changed", c)
		}
	}
	if result.Undecided != 2 || result.Skipped != (Skipped{1, 1, 1}) {
		t.Errorf("%+v", result)
	}
	if sum := result.Unchanged + result.Undecided + result.NewlyAllowed + result.NewlyDenied; sum != result.Exchanges {
		t.Errorf("%d of %d exchanges", sum, result.Exchanges)
	}
	for i, c := range result.Changes[1:] {
		if c.Now == "denied" && result.Changes[i].Now == "allowed" {
			t.Error("an allowed change before a denied one")
		}
	}
}

// TestReplayAfterTheRules: what is held once a rule has allowed counts too.
func TestReplayAfterTheRules(t *testing.T) {
	raw := seen(1, "a", "CONNECT", "https", "a.example", 22, "")
	raw.Detail.TLS.Mode = "none"
	hidden := seen(2, "a", "GET", "https", "b.example", 443, "/")
	hidden.Detail.TLS.ECH = true
	for rule, want := range map[string][]policy.Reason{
		"ports: [22, 443]":                  {policy.NotTLS},
		"ports: [22, 443], intercept: true": {policy.NotTLS},
		"ports: [22, 443], opaque: true":    nil,
		"ports: [22, 443], ech: deny":       {policy.NotTLS, policy.SNIMismatch},
	} {
		result := replay(t, "version: 1\nrules: [{name: r, hosts: [a.example, b.example], "+rule+"}]\n", []*receipts.Receipt{raw, hidden})
		var got []policy.Reason
		for _, c := range result.Changes {
			got = append(got, c.Reason)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
}

// TestReplayIgnoresTheMode: a policy in report mode would deny what it denies.
func TestReplayIgnoresTheMode(t *testing.T) {
	all := []*receipts.Receipt{seen(1, "a", "CONNECT", "https", "a.example", 443, "")}
	if r := replay(t, "version: 1\nmode: report\n", all); r.NewlyDenied != 1 {
		t.Errorf("%+v", r)
	}
}
