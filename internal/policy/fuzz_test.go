package policy

import (
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

var ldhName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// holdsPromises checks what an accepted target is, by means that the parser does
// not use.
func holdsPromises(t *testing.T, target Target) {
	t.Helper()
	if target.Port == 0 || schemeBit(target.Scheme) == 0 {
		t.Fatalf("%+v: no port or scheme", target)
	}
	addr, err := netip.ParseAddr(target.Host)
	switch {
	case err == nil && (target.Addr != addr || addr.String() != target.Host || addr.Zone() != "" || addr.Is4In6()):
		t.Fatalf("%+v: host is a literal that is not canonical, or not marked as one", target)
	case err != nil && target.Addr.IsValid():
		t.Fatalf("%+v: host is no literal, but marked as one", target)
	case err != nil:
		last := target.Host[strings.LastIndexByte(target.Host, '.')+1:]
		if !ldhName.MatchString(target.Host) || len(target.Host) > 253 || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
			t.Fatalf("%+v: host is not a plain name", target)
		}
	}
	u, err := url.Parse(target.Scheme + "://" + target.Authority() + "/")
	if err != nil || u.Hostname() != target.Host || u.Port() != strconv.Itoa(int(target.Port)) || u.User != nil {
		t.Fatalf("%+v: net/url reads %+v, %v", target, u, err)
	}
	if strings.ContainsAny(target.Path+target.Query, "\\# \t\r\n\x00\x7f") || strings.Contains(target.Path, "?") {
		t.Fatalf("%+v: path or query has a byte that is refused", target)
	}
	if !target.SameAuthority(target.Authority()) || !target.SameAuthority(target.HostHeader()) {
		t.Fatalf("%+v is not the same authority as itself", target)
	}
	if r := target.reading; r != (pathReading{}) {
		if strings.Contains(r.plain, "//") || strings.ContainsAny(r.plain, ";\\\x00") || !utf8.ValidString(r.plain) || !strings.HasPrefix(r.plain, "/") {
			t.Fatalf("%+v: the path is ambiguous", target)
		}
		if want := path.Clean(r.plain); strings.TrimSuffix(r.resolved, "/") != strings.TrimSuffix(want, "/") {
			t.Fatalf("%+v: the resolved path is not %q", target, want)
		}
	}
}

func FuzzAuthority(f *testing.F) {
	for _, tt := range hostileHosts {
		f.Add(tt.host + ":443")
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseAuthority(s)
		if err != nil {
			if target != (Target{}) {
				t.Fatalf("%+v beside an error", target)
			}
			return
		}
		holdsPromises(t, target)
		if again, err := ParseAuthority(target.Authority()); err != nil || again != target {
			t.Fatalf("%q: %+v is no fixed point: %+v, %v", s, target, again, err)
		}
	})
}

func FuzzAbsolute(f *testing.F) {
	for _, tt := range hostileHosts {
		f.Add("http://" + tt.host + "/a?b")
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseAbsolute(s)
		if err != nil {
			if target != (Target{}) {
				t.Fatalf("%+v beside an error", target)
			}
			return
		}
		holdsPromises(t, target)
		if again, err := ParseAbsolute(absolute(target)); err != nil || again != target {
			t.Fatalf("%q: %+v is no fixed point: %+v, %v", s, target, again, err)
		}
		inner, err := target.ParseOrigin(target.RequestURI())
		if err != nil || inner != target {
			t.Fatalf("%q: origin-form reads %+v, %v", s, inner, err)
		}
	})
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(everyLayer))
	f.Add([]byte(somePatterns + "limits: {requests_per_second: 5, request_bytes: 10MB, tunnel_idle: 90s}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Compile([]File{{Path: "policy.yaml", Data: data}})
		if (p == nil) == (err == nil) {
			t.Fatalf("policy %v, error %v", p, err)
		}
		if err != nil {
			if !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\x00\x07\x1b\u202e") {
				t.Fatalf("the error echoes control characters: %q", err)
			}
			return
		}
		for _, s := range []string{"CONNECT api.example:443", "GET http://plain.example/v1/x", "CONNECT 192.0.2.7:443 alice", "CONNECT x.y.paste.example:443"} {
			d := p.Decide(request(t, s))
			for _, n := range p.Explain(request(t, s)) {
				if n.Rule == "" || n.Reason == OK {
					t.Fatalf("%s: %+v", s, n)
				}
			}
			if d.Allowed != (d.Reason == OK) || d.Allowed && (d.Rule == "" || d.Pattern == "") {
				t.Fatalf("%s: %+v", s, d)
			}
		}
		for _, host := range p.InterceptedHosts() {
			if _, err := parseHostPattern(host); err != nil {
				t.Fatalf("intercepted host %q is no pattern: %v", host, err)
			}
		}
		for _, hole := range p.Holes() {
			if hole.Bits() == 0 || hole != hole.Masked() {
				t.Fatalf("hole %s", hole)
			}
		}
	})
}
