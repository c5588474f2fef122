package policy

import (
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	p := compile(t, `
version: 1
rules:
  - name: all
    hosts: [all.example]
    limits: {requests_per_second: 50, burst: 100, concurrent: 32, tunnels: 8, request_bytes: 10MB, response_bytes: 64MiB, tunnel_idle: 90s, tunnel_lifetime: 8h}
  - {name: all-again, hosts: [all.example], limits: {concurrent: 1}}
  - {name: rate, hosts: [rate.example], limits: {requests_per_second: 5}}
  - {name: none, hosts: [none.example]}
limits: {concurrent: 200, request_bytes: 1GB, response_bytes: 123}
`)
	for in, want := range map[string]*Limits{
		"CONNECT all.example:443": {
			RequestsPerSecond: 50, Burst: 100, Concurrent: 32, Tunnels: 8, RequestBytes: 10_000_000, ResponseBytes: 64 << 20,
			TunnelIdle: 90 * time.Second, TunnelLifetime: 8 * time.Hour,
		},
		"CONNECT rate.example:443":  {RequestsPerSecond: 5, Burst: 5},
		"CONNECT none.example:443":  nil,
		"CONNECT all.example:22":    nil, // no rule allows it
		"CONNECT other.example:443": nil,
	} {
		got := p.Decide(request(t, in)).Limits
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: %+v, want %+v", in, got, want)
		}
	}
	if got, want := *p.AgentLimits(), (Limits{Concurrent: 200, RequestBytes: 1e9, ResponseBytes: 123}); got != want {
		t.Errorf("agent limits %+v, want %+v", got, want)
	}
	if compile(t, everyLayer).AgentLimits() != nil {
		t.Error("limits from nowhere")
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "007": 7, `"12"`: 12, "1KB": 1000, "1KiB": 1024, "2MB": 2_000_000, "2MiB": 2 << 20, "3GB": 3_000_000_000, "3GiB": 3 << 30, "1000000GB": 1e15,
	} {
		p := compile(t, "version: 1\nlimits: {request_bytes: "+text+"}\n")
		if got := p.AgentLimits().RequestBytes; got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}
