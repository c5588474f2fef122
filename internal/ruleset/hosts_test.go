package ruleset

import (
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/policy"
)

func split(list string) []string { return strings.Split(list, ",") }

func TestFromHosts(t *testing.T) {
	set, err := FromHosts(split("api.openai.com,*.example.com,erp.example:8080,192.0.2.7:8443,[2001:db8::7]:8443,2001:db8::8,[2001:db8::9],BÜCHER.example,api.openai.com"))
	if err != nil {
		t.Fatal(err)
	}
	if set.Policy.Mode() != policy.Enforce {
		t.Errorf("mode %s", set.Policy.Mode())
	}
	for in, want := range map[string]policy.Reason{
		"GET https://api.openai.com/":        policy.OK,
		"GET https://api.openai.com:8080/":   policy.PortNotAllowed,
		"GET http://api.openai.com/":         policy.SchemeNotAllowed,
		"GET https://a.example.com/":         policy.OK,
		"GET https://a.b.example.com/":       policy.HostNotAllowed,
		"GET https://example.com/":           policy.HostNotAllowed,
		"GET http://erp.example:8080/x":      policy.OK,
		"GET https://erp.example:8080/":      policy.OK,
		"GET https://erp.example/":           policy.PortNotAllowed,
		"GET https://192.0.2.7:8443/":        policy.OK,
		"GET https://[2001:db8::7]:8443/":    policy.OK,
		"GET https://[2001:db8::8]/":         policy.OK,
		"GET https://[2001:db8::9]/":         policy.OK,
		"GET https://xn--bcher-kva.example/": policy.OK,
		"GET https://other.example/":         policy.HostNotAllowed,
	} {
		if d := decide(t, set.Policy, in); d.Reason != want {
			t.Errorf("%s: %+v, want %s", in, d, want)
		}
	}
}

// TestFromHostsVersion: the order of a list says nothing, and its hosts do.
func TestFromHostsVersion(t *testing.T) {
	versions := make(map[string][]string)
	for _, list := range []string{"a.example,b.example:80", "b.example:80,a.example", "a.example,b.example", "a.example,b.example:80,a.example"} {
		set, err := FromHosts(split(list))
		if err != nil {
			t.Fatal(err)
		}
		versions[set.Version] = append(versions[set.Version], list)
	}
	if len(versions) != 2 {
		t.Errorf("versions %q", versions)
	}
}

func TestFromHostsErrors(t *testing.T) {
	for list, want := range map[string]string{
		"":                         "an entry is empty: two commas in a row, or one at an end",
		"a.example,,b.example":     "an entry is empty: two commas in a row, or one at an end",
		"https://a.example":        `"https://a.example": write the host alone, or host:port, without a scheme`,
		"a.example:0,b.example:x":  "\"a.example:0\": the port is not a number from 1 to 65535\n\"b.example:x\": the port is not a number from 1 to 65535",
		"a.example/v1":             `"a.example/v1": write the host alone; scheme, port and path have keys of their own`,
		"*":                        `"*" alone would match every host; name the hosts, or write a wildcard under a domain, as in "*.example.com"`,
		"*.com":                    `"*.com" is a wildcard over a public suffix, under which anybody can register a name; name the hosts or a domain below it`,
		"127.1,a\x1b.example\n- b": "\"127.1\": host: \"127.1\" looks like an IPv4 address, which is written as four decimal numbers without leading zeros\n\"a\\x1b.example\\n- b\": host: \"a\\x1b\" has a character that a host name cannot have",
	} {
		set, err := FromHosts(split(list))
		if want = "allowed_hosts is not usable:\n" + want; set != nil || err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", list, err, want)
		}
	}
}
