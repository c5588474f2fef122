package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/strictyaml"
)

func TestCompileErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"not yaml", "version: 1\nrules: [\n", `p.yaml:2: not valid YAML near here: did not find expected node content`},
		{"tabs", "version: 1\nrules:\n\t- x\n", `p.yaml:3: not valid YAML near here: found character that cannot start any token`},
		{"control characters", "version: 1\nrules: \x01\n", `p.yaml: not valid YAML near here: control characters are not allowed`},
		{"not utf-8", "version: 1\nmode: \xff\n", `p.yaml: not valid YAML near here: invalid leading UTF-8 octet`},
		{"a list", "- a\n", `p.yaml:1: a policy is a mapping of keys to values, not a list`},
		{"a word", "deny all\n", `p.yaml:1: a policy is a mapping of keys to values, not "deny all"`},
		{"two documents", "version: 1\n---\nversion: 1\n", `p.yaml:2: a second document starts here; a policy file is one document`},
		{"no version", "mode: report\n", `p.yaml:1: the version is missing; write version: 1`},
		{"other version", "version: 2\n", `p.yaml:1: version is the number "2", and only version: 1 is known to this build`},
		{"quoted version", "version: \"1\"\n", `p.yaml:1: version is "1", and only version: 1 is known to this build`},
		{"unknown mode", "version: 1\nmode: dry-run\n", `p.yaml:2: mode "dry-run" is not known; write enforce or report`},
		{"unknown keys", `
version: 1
rule: []
limits: {}
<<: {}
rules:
  - {name: a, hosts: [a.example], port: [443], methds: [GET], intercepted: true, "x\ny": 1}
deny:
  - {name: b, hosts: [b.example], ports: [443]}
addresses: {permit: []}
`, `
p.yaml:3: unknown key "rule" (did you mean rules?)
p.yaml:4: limits is empty; leave the key out, or limit something
p.yaml:5: unknown key "<<" (known here: version, mode, rules, deny, patterns, limits, addresses, contracts)
p.yaml:7: rule "a": unknown key "port" (did you mean ports?)
p.yaml:7: rule "a": unknown key "methds" (did you mean methods?)
p.yaml:7: rule "a": unknown key "intercepted" (did you mean intercept?)
p.yaml:7: rule "a": unknown key "x\ny" (known here: name, hosts, ports, schemes, methods, paths, agents, intercept, opaque, ech, limits)
p.yaml:9: rule "b": unknown key "ports" (known here: name, hosts)
p.yaml:10: unknown key "permit" (known here: allow)`},
		{"opaque and ech", `
version: 1
rules:
  - {name: a, hosts: [a.example], opaque: true, intercept: true}
  - {name: b, hosts: [b.example], opaque: true, ech: deny}
  - {name: c, hosts: [c.example], schemes: [http], ports: [80], ech: deny}
  - {name: d, hosts: [d.example], ech: never}
`, `
p.yaml:4: rule "a": opaque and intercept exclude each other: what is not TLS cannot be terminated
p.yaml:5: rule "b": ech does nothing with opaque: no ClientHello is read
p.yaml:6: rule "c": opaque and ech do nothing without https or wss in schemes
p.yaml:7: rule "d": ech "never" is not known; write allow or deny`},
		{"keys twice", "version: 1\nversion: 1\nrules:\n  - {name: a, hosts: [a.example], hosts: [b.example]}\n", `
p.yaml:2: version is there twice
p.yaml:4: rule "a": hosts is there twice`},
		{"names", `
version: 1
rules:
  - {hosts: [a.example]}
  - {name: a, hosts: [a.example]}
  - {name: a, hosts: [a.example]}
  - {name: "a b", hosts: [a.example]}
  - {name: "", hosts: [a.example]}
  - {name: [x], hosts: [a.example]}
  - {name: 12, hosts: [a.example]}
  - {name: -x, hosts: [a.example]}
deny:
  - {name: a, hosts: [b.example]}
  - {hosts: [b.example]}
`, `
p.yaml:4: a rule needs a name, which receipts and metrics show
p.yaml:6: rule "a": the name is taken already, in p.yaml
p.yaml:7: name "a b" is not 1 to 64 letters, digits, dots, hyphens and underscores that start with a letter or digit
p.yaml:8: name is empty
p.yaml:9: name is a string, not a list
p.yaml:10: rule "12": name is a string, not the number "12"
p.yaml:11: name "-x" is not 1 to 64 letters, digits, dots, hyphens and underscores that start with a letter or digit
p.yaml:13: rule "a": the name is taken already, in p.yaml
p.yaml:14: an entry of deny needs a name, which receipts and metrics show`},
		{"shapes", `
version: 1
rules:
  - api.example
  - {name: none}
  - {name: empty, hosts: []}
  - {name: scalar, hosts: a.example}
  - {name: null-hosts, hosts: }
  - {name: b, hosts: [a.example], intercept: sometimes}
  - {name: c, hosts: [a.example], intercept: "true"}
  - {name: d, hosts: [[a.example], {a: b}, 12, 1.5, true, ~, ""]}
deny: {name: x}
addresses: [10.0.0.0/8]
mode: [report]
`, `
p.yaml:4: a rule is a mapping of keys to values, not "api.example"
p.yaml:5: rule "none": a rule needs hosts
p.yaml:6: rule "empty": hosts is an empty list; leave the key out, or list something
p.yaml:7: rule "scalar": hosts is a list, not "a.example"
p.yaml:8: rule "null-hosts": hosts is a list, not nothing
p.yaml:9: rule "b": intercept is true or false, not "sometimes"
p.yaml:10: rule "c": intercept is true or false, not "true"
p.yaml:11: rule "d": a host is a string, not a list
p.yaml:11: rule "d": a host is a string, not a mapping
p.yaml:11: rule "d": a host is a string, not the number "12"
p.yaml:11: rule "d": a host is a string, not the number "1.5"
p.yaml:11: rule "d": a host is a string, not the boolean "true"
p.yaml:11: rule "d": a host is a string, not nothing
p.yaml:11: rule "d": a host is empty
p.yaml:12: deny is a list, not a mapping
p.yaml:13: addresses is a mapping of keys to values, not a list
p.yaml:14: mode is a string, not a list`},
		{"hosts", `
version: 1
rules:
  - name: h
    hosts:
      - "*"
      - "**"
      - "*."
      - "a.*.example"
      - "*a.example"
      - "***.example.com"
      - "*.*.example.com"
      - https://api.example/
      - api.example:443
      - api.example/v1
      - user@api.example
      - 010.0.0.1
      - 10.1
      - "*.10.0.0.1"
      - "[::1"
      - "::ffff:10.0.0.1"
      - "fe80::1%eth0"
      - a..example
      - a_b.example
      - " a.example"
`, `
p.yaml:6: rule "h": "*" alone would match every host; name the hosts, or write a wildcard under a domain, as in "*.example.com"
p.yaml:7: rule "h": "**" alone would match every host; name the hosts, or write a wildcard under a domain, as in "*.example.com"
p.yaml:8: rule "h": "*.": host: it is empty
p.yaml:9: rule "h": "a.*.example": a wildcard is the whole first label: "*." for exactly one label, "**." for one or more
p.yaml:10: rule "h": "*a.example": a wildcard is the whole first label: "*." for exactly one label, "**." for one or more
p.yaml:11: rule "h": "***.example.com": a wildcard is the whole first label: "*." for exactly one label, "**." for one or more
p.yaml:12: rule "h": "*.*.example.com": a wildcard is the whole first label: "*." for exactly one label, "**." for one or more
p.yaml:13: rule "h": "https://api.example/": write the host alone; scheme, port and path have keys of their own
p.yaml:14: rule "h": "api.example:443": write the host alone; the port goes into ports
p.yaml:15: rule "h": "api.example/v1": write the host alone; scheme, port and path have keys of their own
p.yaml:16: rule "h": "user@api.example": write the host alone; scheme, port and path have keys of their own
p.yaml:17: rule "h": "010.0.0.1": host: "010.0.0.1" looks like an IPv4 address, which is written as four decimal numbers without leading zeros
p.yaml:18: rule "h": a host is a string, not the number "10.1"
p.yaml:19: rule "h": "*.10.0.0.1": an IP address has no wildcard
p.yaml:20: rule "h": "[::1": host: "[::1" is not one IPv6 address in brackets
p.yaml:21: rule "h": "::ffff:10.0.0.1": host: an IPv4 address is not written inside IPv6: use 10.0.0.1
p.yaml:22: rule "h": "fe80::1%eth0": host: an IPv6 zone is refused
p.yaml:23: rule "h": "a..example": host: it has an empty label (two dots in a row, a leading dot, or more than one trailing dot)
p.yaml:24: rule "h": "a_b.example": host: "a_b" has a character that a host name cannot have
p.yaml:25: rule "h": " a.example": host: " a" has a character that a host name cannot have`},
		{"public suffixes", `
version: 1
rules:
  - {name: s, hosts: ["*.com", "**.co.uk", "*.github.io", "*.s3.amazonaws.com", "*.internal", "*.公司.cn", "*.x.ck"]}
`, `
p.yaml:4: rule "s": "*.com" is a wildcard over a public suffix, under which anybody can register a name; name the hosts or a domain below it
p.yaml:4: rule "s": "**.co.uk" is a wildcard over a public suffix, under which anybody can register a name; name the hosts or a domain below it
p.yaml:4: rule "s": "*.github.io" is a wildcard over a public suffix, under which anybody can register a name; name the hosts or a domain below it
p.yaml:4: rule "s": "*.s3.amazonaws.com" is a wildcard over a public suffix, under which anybody can register a name; name the hosts or a domain below it
p.yaml:4: rule "s": "*.internal" is a wildcard over a public suffix, under which anybody can register a name; name the hosts or a domain below it
p.yaml:4: rule "s": "*.公司.cn" is a wildcard over a public suffix, under which anybody can register a name; name the hosts or a domain below it
p.yaml:4: rule "s": "*.x.ck" is a wildcard over a public suffix, under which anybody can register a name; name the hosts or a domain below it`},
		{"values", `
version: 1
rules:
  - name: v
    hosts: [a.example]
    ports: [0, 65536, -1, "443", 0443, 0x1bb, 4_43, 443.0, https, [443]]
    schemes: [ftp, HTTPS, ""]
    methods: [get, "PO ST", CONNECT, TRACE, 7]
    paths: [v1, "/a/**/b", "/a?b", "/%41", /a//b, /a/../b, 7]
    agents: ["*", me, "a b"]
    intercept: yes
addresses:
  allow: [10.0.0.0, 10.0.0.1/8, 0.0.0.0/0, "::/0", "::ffff:10.0.0.0/104", office, 10]
`, `
p.yaml:6: rule "v": a port is a number from 1 to 65535, not the number "0"
p.yaml:6: rule "v": a port is a number from 1 to 65535, not the number "65536"
p.yaml:6: rule "v": a port is a number from 1 to 65535, not the number "-1"
p.yaml:6: rule "v": a port is a number from 1 to 65535, not "443"
p.yaml:6: rule "v": a port is a number from 1 to 65535, not the number "0443"
p.yaml:6: rule "v": a port is a number from 1 to 65535, not the number "0x1bb"
p.yaml:6: rule "v": a port is a number from 1 to 65535, not the number "4_43"
p.yaml:6: rule "v": a port is a number from 1 to 65535, not the number "443.0"
p.yaml:6: rule "v": a port is a number from 1 to 65535, not "https"
p.yaml:6: rule "v": a port is a number from 1 to 65535, not a list
p.yaml:7: rule "v": scheme "ftp" is not http, https, ws or wss
p.yaml:7: rule "v": scheme "HTTPS" is not http, https, ws or wss
p.yaml:7: rule "v": a scheme is empty
p.yaml:8: rule "v": method "get": methods are case-sensitive; write GET
p.yaml:8: rule "v": "PO ST" is not a method
p.yaml:8: rule "v": CONNECT is not for rules: a tunnel is allowed by host and port, and TRACE and TRACK are never carried
p.yaml:8: rule "v": TRACE is not for rules: a tunnel is allowed by host and port, and TRACE and TRACK are never carried
p.yaml:8: rule "v": a method is a string, not the number "7"
p.yaml:9: rule "v": path "v1": a path starts with /
p.yaml:9: rule "v": path "/a/**/b": ** stands only at the end, after a /; within a segment write *
p.yaml:9: rule "v": path "/a?b": a path has no query and no fragment; rules cannot depend on them
p.yaml:9: rule "v": path "/%41": write the character itself: paths are decoded before they are matched
p.yaml:9: rule "v": path "/a//b": it could never match: empty segments, dot segments, semicolons and control characters are refused in requests
p.yaml:9: rule "v": path "/a/../b": it could never match: empty segments, dot segments, semicolons and control characters are refused in requests
p.yaml:9: rule "v": a path is a string, not the number "7"
p.yaml:10: rule "v": agent "a b" is not 1 to 64 letters, digits, dots, hyphens and underscores; no agent has another name
p.yaml:10: rule "v": "*" is every agent; leave out the others, or the star
p.yaml:11: rule "v": intercept is true or false, not "yes"
p.yaml:13: "10.0.0.0" is not an address range such as 10.20.0.0/16; a single address is written with /32 (IPv6: /128)
p.yaml:13: "10.0.0.1/8" has bits set beyond its length; write 10.0.0.0/8
p.yaml:13: "0.0.0.0/0" would open every special address; name the ranges that are needed
p.yaml:13: "::/0" would open every special address; name the ranges that are needed
p.yaml:13: "::ffff:10.0.0.0/104" is IPv4 inside IPv6; write it as an IPv4 range
p.yaml:13: "office" is not an address range such as 10.20.0.0/16; a single address is written with /32 (IPv6: /128)
p.yaml:13: an address range is a string, not the number "10"`},
		{"what cannot be held", `
version: 1
rules:
  - {name: a, hosts: [a.example], methods: [GET]}
  - {name: b, hosts: [b.example], paths: [/]}
  - {name: c, hosts: [c.example], paths: [/], methods: [GET]}
  - {name: d, hosts: [d.example], schemes: [wss]}
  - {name: e, hosts: [e.example], schemes: [http], ports: [80], intercept: true}
  - {name: f, hosts: [f.example], schemes: [http]}
  - {name: g, hosts: [g.example], schemes: [http, https], methods: [GET]}
  - {name: fine-a, hosts: [h.example], schemes: [wss, https]}
  - {name: fine-b, hosts: [i.example], schemes: [wss], intercept: true}
  - {name: fine-c, hosts: [j.example], schemes: [http], ports: [443], methods: [GET], paths: [/]}
`, `
p.yaml:4: rule "a": methods cannot be seen inside https; add intercept: true, or leave them out
p.yaml:5: rule "b": paths cannot be seen inside https; add intercept: true, or leave them out
p.yaml:6: rule "c": methods and paths cannot be seen inside https; add intercept: true, or leave them out
p.yaml:7: rule "d": wss cannot be told from https inside a tunnel; add intercept: true, or list https too
p.yaml:8: rule "e": intercept does nothing without https or wss in schemes
p.yaml:9: rule "f": http and ws need ports: the default is 443 alone; add ports: [80] or what the service uses
p.yaml:10: rule "g": methods cannot be seen inside https; add intercept: true, or leave them out
p.yaml:10: rule "g": http and ws need ports: the default is 443 alone; add ports: [80] or what the service uses`},
		{"limits", `
version: 1
rules:
  - {name: a, hosts: [a.example], limits: 5}
  - {name: b, hosts: [a.example], limits: {request_per_second: 5}}
  - {name: c, hosts: [a.example], limits: {requests_per_second: 0, concurrent: "5", tunnels: 1.5, request_bytes: 0, response_bytes: 10 MB}}
  - {name: d, hosts: [a.example], limits: {burst: 5, requests_per_second: 1000001, request_bytes: -1, response_bytes: 9999999GB}}
  - {name: e, hosts: [a.example], limits: {tunnel_idle: 15, tunnel_lifetime: 721h, request_bytes: 10mb, response_bytes: [1]}}
  - {name: f, hosts: [a.example], limits: {tunnel_idle: -1s, tunnel_lifetime: soon, requests_per_second: many}}
  - {name: g, hosts: [a.example], limits: {burst: 5}}
  - {name: h, hosts: [a.example], schemes: [http], ports: [80], limits: {tunnels: 5}}
limits: {concurrent: }
`, `
p.yaml:4: rule "a": limits is a mapping of keys to values, not the number "5"
p.yaml:5: rule "b": unknown key "request_per_second" (did you mean requests_per_second?)
p.yaml:6: rule "c": requests_per_second is a whole number from 1 to 1000000, not the number "0"
p.yaml:6: rule "c": concurrent is a whole number from 1 to 1000000, not "5"
p.yaml:6: rule "c": tunnels is a whole number from 1 to 1000000, not the number "1.5"
p.yaml:6: rule "c": request_bytes is a size of at least one byte, such as 500000, 500KB, 10MB or 64MiB, and at most 1000000 GB, not the number "0"
p.yaml:6: rule "c": response_bytes is a size of at least one byte, such as 500000, 500KB, 10MB or 64MiB, and at most 1000000 GB, not "10 MB"
p.yaml:7: rule "d": requests_per_second is a whole number from 1 to 1000000, not the number "1000001"
p.yaml:7: rule "d": request_bytes is a size of at least one byte, such as 500000, 500KB, 10MB or 64MiB, and at most 1000000 GB, not the number "-1"
p.yaml:7: rule "d": response_bytes is a size of at least one byte, such as 500000, 500KB, 10MB or 64MiB, and at most 1000000 GB, not "9999999GB"
p.yaml:8: rule "e": request_bytes is a size of at least one byte, such as 500000, 500KB, 10MB or 64MiB, and at most 1000000 GB, not "10mb"
p.yaml:8: rule "e": response_bytes is a size of at least one byte, such as 500000, 500KB, 10MB or 64MiB, and at most 1000000 GB, not a list
p.yaml:8: rule "e": tunnel_idle is a duration such as 30s, 15m or 8h, of at most 24h, not the number "15"
p.yaml:8: rule "e": tunnel_lifetime is a duration such as 30s, 15m or 8h, of at most 720h, not "721h"
p.yaml:9: rule "f": requests_per_second is a whole number from 1 to 1000000, not "many"
p.yaml:9: rule "f": tunnel_idle is a duration such as 30s, 15m or 8h, of at most 24h, not "-1s"
p.yaml:9: rule "f": tunnel_lifetime is a duration such as 30s, 15m or 8h, of at most 720h, not "soon"
p.yaml:10: rule "g": burst needs requests_per_second, which it is a burst of
p.yaml:11: rule "h": limits on tunnels do nothing without https or wss in schemes
p.yaml:12: concurrent is a whole number from 1 to 1000000, not nothing`},
		{"patterns", `
version: 1
rules: [{name: r, hosts: [a.example]}]
patterns:
  - secret
  - {match: a, action: deny}
  - {name: r, match: a, action: deny}
  - {name: a, match: a}
  - {name: b, action: flag}
  - {name: c, match: "(", action: flag}
  - {name: d, match: "a*", action: flag}
  - {name: e, match: "(?=a)b", action: flag}
  - {name: f, match: a, action: warn, hosts: [b.example]}
  - {name: g, match: "(.{100}){11}", action: flag}
  - {name: h, match: 7, action: ""}
  - {name: i, match: "` + strings.Repeat("a", 1025) + `", action: deny}
  - {name: j, match: "a{900}b{900}c{900}", action: deny}
`, `
p.yaml:5: a pattern is a mapping of keys to values, not "secret"
p.yaml:6: a pattern needs a name, which receipts and metrics show
p.yaml:7: rule "r": the name is taken already, in p.yaml
p.yaml:8: rule "a": a pattern needs an action: deny or flag
p.yaml:9: rule "b": a pattern needs match, a regular expression (RE2)
p.yaml:10: rule "c": match is not a regular expression (RE2): "missing closing ): ` + "`(`" + `"
p.yaml:11: rule "d": match "a*" fits everything, since it fits nothing at all
p.yaml:12: rule "e": match is not a regular expression (RE2): "invalid or unsupported Perl syntax: ` + "`(?=`" + `"
p.yaml:13: rule "f": unknown key "hosts" (known here: name, match, action)
p.yaml:13: rule "f": action "warn" is not known; write deny or flag
p.yaml:14: rule "g": match is not a regular expression (RE2): "invalid repeat count: ` + "`{11}`" + `"
p.yaml:15: rule "h": match is a string, not the number "7"
p.yaml:15: rule "h": action is empty
p.yaml:16: rule "i": match is 1025 bytes long, and at most 1024
p.yaml:17: rule "j": match is too large when it is compiled (more than 2000 steps); write shorter repetitions`},
		{"too many patterns", "version: 1\npatterns:\n" + manyPatterns(66), `p.yaml:67: rule "p64": this is pattern 65, and there are at most 64; join some with |`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Compile([]File{{Path: "p.yaml", Data: []byte(tt.text)}})
			if p != nil {
				t.Error("a policy beside an error")
			}
			if got, want := fmt.Sprint(err), strings.TrimPrefix(tt.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func manyPatterns(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  - {name: p%d, match: x%d, action: flag}\n", i, i)
	}
	return b.String()
}

func TestCompileSeveralFiles(t *testing.T) {
	first := File{Path: "10-base.yaml", Data: []byte("version: 1\nmode: report\nrules:\n  - {name: a, hosts: [a.example]}\n")}
	second := File{Path: "20-team.yaml", Data: []byte("version: 1\nrules:\n  - {name: b, hosts: [a.example, b.example]}\ndeny:\n  - {name: c, hosts: [c.example]}\n")}
	p, err := Compile([]File{first, {Path: "15-empty.yaml"}, second})
	if err != nil {
		t.Fatal(err)
	}
	if p.Mode() != Report {
		t.Errorf("mode %s", p.Mode())
	}
	for in, rule := range map[string]string{"CONNECT a.example:443": "a", "CONNECT b.example:443": "b", "CONNECT c.example:443": "c"} {
		if d := p.Decide(request(t, in)); d.Rule != rule {
			t.Errorf("%s: rule %q, want %q", in, d.Rule, rule)
		}
	}
	third := File{Path: "30.yaml", Data: []byte("version: 1\nmode: enforce\nrules:\n  - {name: b, hosts: [\"*\"]}\n")}
	_, err = Compile([]File{first, second, third})
	want := `30.yaml:2: mode is enforce here and report in 10-base.yaml; set it in one file
30.yaml:4: rule "b": the name is taken already, in 20-team.yaml
30.yaml:4: rule "b": "*" alone would match every host; name the hosts, or write a wildcard under a domain, as in "*.example.com"`
	if fmt.Sprint(err) != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	limits := []File{{Path: "a.yaml", Data: []byte("version: 1\nlimits: {concurrent: 1}\n")}, {Path: "b.yaml", Data: []byte("version: 1\nlimits: {concurrent: 2}\n")}}
	if _, err := Compile(limits); fmt.Sprint(err) != "b.yaml:2: limits are in a.yaml already; set them in one file" {
		t.Errorf("limits in two files: %v", err)
	}
	var one *strictyaml.Error
	if !errors.As(err, &one) || one.Path != "30.yaml" || one.Line != 2 {
		t.Errorf("errors.As finds %+v", one)
	}
}

// TestDenyTakesPublicSuffixes: what is too wide to allow may be denied.
func TestDenyTakesPublicSuffixes(t *testing.T) {
	p := compile(t, "version: 1\nrules: [{name: a, hosts: [x.onion]}]\ndeny: [{name: tor, hosts: [\"**.onion\", \"*.github.io\"]}]\n")
	for _, in := range []string{"CONNECT x.onion:443", "CONNECT y.github.io:443"} {
		if d := p.Decide(request(t, in)); d.Reason != HostDenied || d.Rule != "tor" {
			t.Errorf("%s: %+v", in, d)
		}
	}
}

func TestAliases(t *testing.T) {
	p := compile(t, "version: 1\nrules:\n  - {name: a, hosts: &h [a.example], methods: &m [GET], intercept: true}\n  - {name: b, hosts: *h, methods: *m, ports: [8443], intercept: true}\n")
	if d := p.Decide(request(t, "GET https://a.example:8443/")); d.Rule != "b" || !d.Allowed {
		t.Errorf("%+v", d)
	}
	for _, text := range []string{"version: 1\nrules: &a [*a]\n", "version: 1\nrules: [&a {name: x, hosts: [*a]}]\n", "&a [*a]\n", "version: 1\nrules: [*nowhere]\n"} {
		if _, err := Compile([]File{{Path: "p.yaml", Data: []byte(text)}}); err == nil {
			t.Errorf("%q compiles", text)
		}
	}
}

// What a short file makes much work of is refused: aliases that repeat a list, and
// mistakes without end.
func TestCompileIsBounded(t *testing.T) {
	var bomb, mistakes strings.Builder
	bomb.WriteString("version: 1\nrules:\n  - {name: a, hosts: &h [" + strings.Repeat("a.example, ", 10_000) + "]}\n")
	for i := range 200 {
		fmt.Fprintf(&bomb, "  - {name: r%d, hosts: *h}\n", i)
	}
	mistakes.WriteString("version: 1\nrules:\n" + strings.Repeat("  - {}\n", 10_000))
	for _, c := range []struct {
		name, data, want string
		lines            int
	}{
		{"aliases", bomb.String(), "more than 1000000 elements", 1},
		{"mistakes", mistakes.String(), "and 19900 more", 101},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Compile([]File{{Path: "p.yaml", Data: []byte(c.data)}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("want %q in the error", c.want)
			}
			if lines := strings.Count(err.Error(), "\n") + 1; lines != c.lines {
				t.Errorf("%d lines, want %d", lines, c.lines)
			}
		})
	}
}
