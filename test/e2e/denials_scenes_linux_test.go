package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

// scene is what leads to the denials of one reason.
type scene struct {
	options options
	disk    int // bytes of the data directory's file system; 0: no limit
	before  func(*testing.T, *sidecar)
	asks    func(*testing.T, *sidecar) []ask

	// alongside, where it is set, runs for as long as there are clients, and again
	// reports whether one came through nevertheless: then that client runs once more.
	alongside func(context.Context, *testing.T, *sidecar)
	again     func(text string) bool
	// during, where it is set, runs while all clients are under way.
	during  func(*testing.T, *sidecar)
	stopped bool   // by the scene itself
	python  string // in place of the usual script
}

// asking asks for each URL.
func asking(urls ...string) func(*testing.T, *sidecar) []ask {
	return func(*testing.T, *sidecar) []ask {
		var list []ask
		for _, url := range urls {
			list = append(list, ask{url: url})
		}
		return list
	}
}

// at asks for a path in each mode.
func at(path string, modes ...mode) func(*testing.T, *sidecar) []ask {
	return func(_ *testing.T, car *sidecar) []ask {
		var list []ask
		for _, m := range modes {
			list = append(list, ask{url: m.url(car.site, path)})
		}
		return list
	}
}

const limitedRules = `
rules:
  - {name: plain, hosts: [plain.test], ports: [PORTS], schemes: [http], limits: {%[1]s}}
  - {name: opaque, hosts: [opaque.test], ports: [PORTS], limits: {%[1]s}}
  - {name: intercepted, hosts: [old-api.test], ports: [PORTS], intercept: true, limits: {%[1]s}}
`

const narrowRules = `
rules:
  - {name: plain, hosts: [plain.test], ports: [PORTS], schemes: [http], methods: [GET], paths: [/v1/**]}
  - {name: intercepted, hosts: [old-api.test], ports: [PORTS], methods: [GET], paths: [/v1/**], intercept: true}
  - {name: wide, hosts: ["*.wide.test"], schemes: [http, https], ports: [80, 443]}
deny:
  - {name: leaks, hosts: [leak.wide.test]}
patterns:
  - {name: keys, match: "AKIA[0-9A-Z]{16}", action: deny}
`

const otherRule = "  - {name: other, hosts: [other.test], ports: [PORTS], intercept: true}\n"

// denials has a scene for every reason that a denial can have.
var denials = map[policy.Reason]*scene{
	policy.TargetMalformed: {asks: asking("http://under_score.test/", "https://under_score.test/")},
	policy.HostNotAllowed:  {asks: asking("http://evil.test/", "https://evil.test/")},
	policy.HostDenied:      {options: options{rules: narrowRules}, asks: asking("http://leak.wide.test/", "https://leak.wide.test/")},
	policy.PortNotAllowed:  {asks: asking("http://plain.test:81/", "https://opaque.test:8443/")},
	policy.PathNotAllowed:  {options: options{rules: narrowRules}, asks: at("/v2/users", plain, interceptedH1)},
	policy.ResolveFailed:   {options: options{rules: narrowRules}, asks: asking("http://gone.wide.test/", "https://gone.wide.test/")},
	policy.UpstreamAborted: {asks: at("/abort?n=10&chunked=1", plain, interceptedH1)},
	policy.SchemeNotAllowed: {asks: func(_ *testing.T, car *sidecar) []ask {
		s := car.site
		swap := func(m mode, from, to string) ask { return ask{url: strings.Replace(m.url(s, "/"), from, to, 1)} }
		return []ask{swap(opaqueH1, "https:", "http:"), swap(plain, "http:", "https:")}
	}},
	policy.MethodNotAllowed: {options: options{rules: narrowRules}, asks: func(_ *testing.T, car *sidecar) []ask {
		s := car.site
		return []ask{
			{url: plain.url(s, "/v1/users"), method: "DELETE"},
			{url: interceptedH1.url(s, "/v1/users"), method: "DELETE"},
		}
	}},
	policy.SuspiciousPattern: {options: options{rules: narrowRules}, asks: at("/v1/users?key=AKIAABCDEFGHIJKLMNOP", plain, interceptedH1)},
	policy.AuthRequired: {
		options: options{config: agentsConfig},
		asks:    at("/small", plain, opaqueH1),
	},
	policy.RateLimited: {
		options:   options{rules: fmt.Sprintf(limitedRules, "requests_per_second: 1, burst: 1")},
		alongside: func(ctx context.Context, t *testing.T, car *sidecar) { spend(ctx, t, car, plain, opaqueH1) },
		again: func(text string) bool {
			return strings.Contains(text, " 200 ") || strings.Contains(text, "raises nothing")
		},
		asks: at("/small", plain, opaqueH1),
	},
	policy.LimitExceeded: {
		options: options{rules: fmt.Sprintf(limitedRules, "request_bytes: 10")},
		asks: func(_ *testing.T, car *sidecar) []ask {
			s := car.site
			return []ask{
				{url: plain.url(s, "/digest"), method: "POST", body: "more-than-ten-bytes"},
				{url: interceptedH1.url(s, "/digest"), method: "POST", body: "more-than-ten-bytes"},
			}
		},
	},
	policy.AddressDenied: {options: options{rules: narrowRules}, asks: func(_ *testing.T, car *sidecar) []ask {
		s := car.site
		s.dns.Set("meta.wide.test", time.Minute, netip.MustParseAddr("169.254.169.254"))
		return []ask{{url: "http://meta.wide.test/"}, {url: "https://meta.wide.test/"}}
	}},
	policy.SNIMismatch: {asks: func(_ *testing.T, car *sidecar) []ask {
		s := car.site
		front := fmt.Sprintf("front.test:443:opaque.test:%d", s.secure.Port())
		return []ask{{url: "https://front.test/", curl: []string{"--connect-to", front}, python: fmt.Sprintf(fronting, s.secure.Port())}}
	}},
	policy.AuthorityMismatch: {asks: func(_ *testing.T, car *sidecar) []ask {
		s := car.site
		return []ask{{url: interceptedH1.url(s, "/small"), header: map[string]string{"Host": "front.test"}}}
	}},
	policy.NotTLS: {asks: func(_ *testing.T, car *sidecar) []ask {
		s := car.site
		url := fmt.Sprintf("http://opaque.test:%d/", s.secure.Port())
		return []ask{{url: url, curl: []string{"--proxytunnel"}, python: fmt.Sprintf(inTheClear, s.secure.Port())}}
	}},
	policy.JournalUnavailable: {
		disk:   2 << 20, // room for a journal, and little more
		before: func(t *testing.T, car *sidecar) { untilUnavailable(t, car) },
		asks:   at("/small", plain, opaqueH1),
	},
	policy.UpstreamFailed: {options: options{rules: usualRules + otherRule}, asks: func(_ *testing.T, car *sidecar) []ask {
		s := car.site
		s.old.Close() // where the first two go; the third's certificate is for another name
		s.dns.Set("other.test", time.Minute, loopback)
		return []ask{
			{url: strings.Replace(interceptedH1.url(s, "/"), "https://old-api.test", "http://plain.test", 1)},
			{url: s.old.URL("old-opaque.test", "/")},
			{url: s.secure.URL("other.test", "/")},
		}
	}},
	policy.UpstreamTimeout: {
		options: options{config: "timeouts: {response_header: 100ms}"},
		asks:    at("/slow?gate=never", plain, interceptedH1),
	},
	policy.ClientAborted: {asks: func(_ *testing.T, car *sidecar) []ask {
		s := car.site
		large := ask{curl: []string{"--max-filesize", "1000"}, python: leaving}
		large.url = plain.url(s, "/bytes?n=100000000")
		return []ask{large}
	}},
	policy.LoopDetected: {asks: func(t *testing.T, car *sidecar) []ask {
		return []ask{{url: plain.url(car.site, "/small"), header: map[string]string{"Via": via(t, car)}}}
	}},
	policy.PayloadTooLarge:       posting(`{"note":"` + strings.Repeat("x", 300) + `"}`),
	policy.PayloadMalformed:      posting(`{"amount":12.50,"currency":"EUR","amount":125}`),
	policy.PayloadNotInspectable: {options: contractOptions, asks: sending("amount=12.50", nil)},
	policy.RepairRefused:         posting(`{"currency":"EUR","amount":12`),
	policy.FUQuotaExceeded: {
		options: options{rules: modelRules, config: "model: {url: 'http://127.0.0.1:9/v1', name: tiny, addresses: [127.0.0.1/32], monthly_tokens: 1}"},
		asks:    sending(`{"amount" 12.50}`, jsonType),
	},
	policy.SchemaInvalid:     posting(`{"amount":"12.50","currency":"Euro"}`),
	policy.InvariantViolated: posting(`{"amount":10001,"currency":"EUR"}`),
	policy.OriginalMissing: {
		options: options{rules: originalContract, schemas: map[string]string{}},
		asks:    sending(`{"order":"PO-7","amount":12.50}`, jsonType),
	},
	policy.Internal: {
		options: options{config: "shutdown_timeout: 1s"},
		asks:    at("/slow/CLIENT?gate=CLIENT", plain),
		during: func(_ *testing.T, car *sidecar) {
			<-car.site.plain.Gate("curl").Entered()
			<-car.site.plain.Gate("python").Entered()
			car.stop()
		},
		python:  heldPython,
		stopped: true,
	},
}

// The scripts of clients that do what no library does by itself.
const (
	fronting = `
import os, socket, ssl
def front():
    host, port = ask["proxy"].split(":")
    tunnel = socket.create_connection((host, int(port)))
    tunnel.sendall(b"CONNECT opaque.test:%[1]d HTTP/1.1\r\nHost: opaque.test:%[1]d\r\n\r\n")
    tunnel.recv(4096)
    ssl.create_default_context().wrap_socket(tunnel, server_hostname="front.test")
raised("ssl", front)
`
	inTheClear = `
import http.client
def clear():
    c = http.client.HTTPConnection(ask["proxy"])
    c.set_tunnel("opaque.test", %d)
    c.request("GET", "/")
    c.getresponse()
raised("http.client", clear)
`
	leaving = `
import urllib.request
def leave():
    with urllib.request.urlopen(ask["url"]) as answer:
        answer.read(1000)
raised("urllib", leave)
`
	heldPython = `
import requests
raised("requests", lambda: requests.get(ask["url"]).raise_for_status())
`
)

// What bodies are held to in the scenes of payload contracts.
var (
	contractOptions = options{
		rules:   strings.Replace(paymentContract, "    rules:\n      -", "    max_bytes: 200\n    repair: {local: true}\n    rules:\n      -", 1),
		schemas: map[string]string{"payment.schema.json": paymentSchema},
	}
	jsonType = map[string]string{"Content-Type": "application/json"}
)

const originalContract = usualRules + `
contracts:
  - name: payment
    on: {hosts: [plain.test, api.test, old-api.test], methods: [POST], paths: [/echo/payments]}
    original: {fact: invoice, key: /order}
    rules: [{id: amount, check: original.amount == transformed.amount}]
  - name: source
    on: {hosts: [api.test], methods: [GET], paths: [/small]}
    capture: {fact: invoice, key: /order, keep: {amount: /amount}}
`

// sending posts a body to where payments go.
func sending(body string, header map[string]string) func(*testing.T, *sidecar) []ask {
	return func(_ *testing.T, car *sidecar) []ask {
		var list []ask
		for _, m := range []mode{plain, interceptedH1} {
			list = append(list, ask{url: m.url(car.site, "/echo/payments"), method: "POST", header: header, body: body})
		}
		return list
	}
}

// posting is the scene of a JSON body that a contract does not let go.
func posting(body string) *scene {
	return &scene{options: contractOptions, asks: sending(body, jsonType)}
}

// via is how the sidecar names itself to others.
func via(t *testing.T, car *sidecar) string {
	t.Helper()
	got := get(car.client(plain), newRequest(t, plain.url(car.site, "/headers")))
	must(t, got.err)
	var seen peers.ReceivedRequest
	must(t, json.Unmarshal([]byte(got.body), &seen))
	return seen.Header.Get("Via")
}
