package policy

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseAuthorityAccepts(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, tt := range []struct{ in, authority string }{
		{"api.example.com:443", "api.example.com:443"},
		{"API.Example.COM:443", "api.example.com:443"},
		{"api.example.com.:443", "api.example.com:443"},
		{"localhost:8443", "localhost:8443"},
		{"a:1", "a:1"},
		{"a:65535", "a:65535"},
		{"1.example:443", "1.example:443"},
		{"0x7f.example:443", "0x7f.example:443"},
		{"1.2.3.4.example:443", "1.2.3.4.example:443"},
		{"3com.com:443", "3com.com:443"},
		{"a--b.example:443", "a--b.example:443"},
		{long + ".example:443", long + ".example:443"},
		{"192.0.2.1:443", "192.0.2.1:443"},
		{"0.0.0.0:443", "0.0.0.0:443"},
		{"255.255.255.255:443", "255.255.255.255:443"},
		{"[2001:db8::1]:443", "[2001:db8::1]:443"},
		{"[2001:DB8:0:0:0:0:0:1]:443", "[2001:db8::1]:443"},
		{"[::]:443", "[::]:443"},
		{"[::1.2.3.4]:443", "[::102:304]:443"},
		{"bücher.example:443", "xn--bcher-kva.example:443"},
		{"BÜCHER.example:443", "xn--bcher-kva.example:443"},
		{"bu\u0308cher.example:443", "xn--bcher-kva.example:443"}, // composed by mapping
		{"xn--bcher-kva.example:443", "xn--bcher-kva.example:443"},
		{"XN--BCHER-KVA.example.:443", "xn--bcher-kva.example:443"},
		{"straße.example:443", "xn--strae-oqa.example:443"}, // non-transitional
		{"faß.de:443", "xn--fa-hia.de:443"},
		{"例え.jp:443", "xn--r8jz45g.jp:443"},
		{"api。example。com:443", "api.example.com:443"},
		{"ａｐｉ.example:443", "api.example:443"},
		{"api\u00ad.example:443", "api.example:443"},
		{"ﬁle.example:443", "file.example:443"},
	} {
		target, err := ParseAuthority(tt.in)
		if err != nil {
			t.Errorf("ParseAuthority(%q): %v", tt.in, err)
			continue
		}
		if target.Scheme != "https" || target.Path != "" || target.Query != "" {
			t.Errorf("ParseAuthority(%q) = %+v: a tunnel has scheme https and no path", tt.in, target)
		}
		if got := target.Authority(); got != tt.authority {
			t.Errorf("ParseAuthority(%q).Authority() = %q, want %q", tt.in, got, tt.authority)
		}
		if again, err := ParseAuthority(target.Authority()); err != nil || again != target {
			t.Errorf("ParseAuthority(%q) is no fixed point: %+v, %v", tt.in, again, err)
		}
	}
}

func TestParseAuthorityRefusesOtherForms(t *testing.T) {
	for _, tt := range []struct{ in, part string }{
		{"", "target"},
		{"example.com", "port"},
		{"[::1]", "port"},
		{"192.0.2.1", "port"},
		{":443", "host"},
		{":", "host"},
		{"example.com:", "port"},
		{"example.com:0", "port"},
		{"example.com:65536", "port"},
		{"example.com:99999999999999999999", "port"},
		{"example.com:0443", "port"},
		{"example.com:+443", "port"},
		{"example.com:-443", "port"},
		{"example.com:4_43", "port"},
		{"example.com:0x1bb", "port"},
		{"example.com:443a", "port"},
		{"example.com:https", "port"},
		{"example.com:４４３", "port"},
		{"example.com:443,80", "port"},
		{"example.com:4 43", "target"},
		{"example.com:443:443", "host"},
		{"example.com:443:evil.example:443", "host"},
		{"[::1]:443:80", "port"},
		{"[::1]443", "host"},
		{"example.com:443/", "target"},
		{"example.com:443?x", "target"},
		{"example.com:443#x", "target"},
		{"/example.com:443", "target"},
		{"//example.com:443", "target"},
		{"https://example.com:443", "target"},
		{"https://example.com", "target"},
		{"example.com:443 HTTP/1.1", "target"},
		{"*", "host"},
		{"*:443", "host"},
		{"example.com:443@evil.example:443", "userinfo"},
		{"evil.example:443@example.com:443", "userinfo"},
	} {
		target, err := ParseAuthority(tt.in)
		refusedAs(t, tt.in, target, err, tt.part)
	}
}

func TestParseAbsolute(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Target
	}{
		{"http://example.com", Target{Scheme: "http", Host: "example.com", Port: 80, Path: "/"}},
		{"http://example.com/", Target{Scheme: "http", Host: "example.com", Port: 80, Path: "/"}},
		{"HTTP://EXAMPLE.com./A", Target{Scheme: "http", Host: "example.com", Port: 80, Path: "/A"}},
		{"https://example.com/a", Target{Scheme: "https", Host: "example.com", Port: 443, Path: "/a"}},
		{"ws://example.com/a", Target{Scheme: "ws", Host: "example.com", Port: 80, Path: "/a"}},
		{"wss://example.com:444/a", Target{Scheme: "wss", Host: "example.com", Port: 444, Path: "/a"}},
		{"http://example.com?q=1", Target{Scheme: "http", Host: "example.com", Port: 80, Path: "/", Query: "q=1"}},
		{"http://example.com/?", Target{Scheme: "http", Host: "example.com", Port: 80, Path: "/", ForceQuery: true}},
		{"http://example.com/a?b?c=/../&d=%zz", Target{Scheme: "http", Host: "example.com", Port: 80, Path: "/a", Query: "b?c=/../&d=%zz"}},
		{"http://example.com/a?u=http://evil.example@x/", Target{Scheme: "http", Host: "example.com", Port: 80, Path: "/a", Query: "u=http://evil.example@x/"}},
		{"http://example.com/@evil.example/", Target{Scheme: "http", Host: "example.com", Port: 80, Path: "/@evil.example/"}},
		{"http://example.com/%2e%2E/%41//;x", Target{Scheme: "http", Host: "example.com", Port: 80, Path: "/%2e%2E/%41//;x"}},
		{"http://example.com//evil.example/", Target{Scheme: "http", Host: "example.com", Port: 80, Path: "//evil.example/"}},
		{"http://example.com/ü\xff", Target{Scheme: "http", Host: "example.com", Port: 80, Path: "/ü\xff"}},
		{"http://[2001:db8::1]/", Target{Scheme: "http", Host: "2001:db8::1", Addr: netip.MustParseAddr("2001:db8::1"), Port: 80, Path: "/"}},
		{"http://192.0.2.1:8080/", Target{Scheme: "http", Host: "192.0.2.1", Addr: netip.MustParseAddr("192.0.2.1"), Port: 8080, Path: "/"}},
	} {
		got, err := ParseAbsolute(tt.in)
		if err != nil {
			t.Errorf("ParseAbsolute(%q): %v", tt.in, err)
			continue
		}
		shown := got
		shown.reading = pathReading{}
		if shown != tt.want {
			t.Errorf("ParseAbsolute(%q) = %+v, want %+v", tt.in, shown, tt.want)
		}
		if again, err := ParseAbsolute(absolute(got)); err != nil || again != got {
			t.Errorf("ParseAbsolute(%q) is no fixed point: %+v, %v", tt.in, again, err)
		}
	}
}

// absolute is a target's whole text.
func absolute(t Target) string { return t.Scheme + "://" + t.Authority() + t.RequestURI() }

func TestParseAbsoluteRefuses(t *testing.T) {
	for _, tt := range []struct{ in, part string }{
		{"", "target"},
		{"/", "target"},
		{"*", "target"},
		{"example.com", "target"},
		{"//example.com/", "target"},
		{"http:/example.com/", "target"},
		{"http:example.com", "target"},
		{"http:", "target"},
		{"example.com:443", "target"},
		{"http:\\\\example.com", "target"},
		{"http:///example.com", "host"},
		{"http://", "host"},
		{"http://?x", "host"},
		{"http:////example.com", "host"},
		{"ftp://example.com/", "scheme"},
		{"file:///etc/passwd", "scheme"},
		{"gopher://example.com:70/_", "scheme"},
		{"://example.com/", "scheme"},
		{"data://x", "scheme"},
		{"ht tp://example.com/", "target"},
		{"http2://example.com/", "scheme"},
		{" http://example.com/", "target"},
		{"http://example.com/ ", "target"},
		{"http://example.com/#x", "target"},
		{"http://example.com/?a#x", "target"},
		{"http://example.com/a\\b", "target"},
		{"http://example.com/?a\\b", "target"},
		{"http://example.com/\x00", "target"},
		{"http://example.com/?\r\n", "target"},
		{"http://example.com\\@evil.example/", "target"},
		{"http://example.com:/", "port"},
		{"http://example.com:0/", "port"},
		{"http://example.com:080/", "port"},
		{"http://example.com:80:80/", "host"},
		{"http://example.com:http/", "port"},
		{"http://example.com/%", "path"},
		{"http://example.com/%2", "path"},
		{"http://example.com/%zz", "path"},
		{"http://example.com/a%u0041", "path"},
		{"http://example.com/%%32%65", "path"},
		{"http://evil.example;example.com/", "host"},
		{"http://a@b/", "userinfo"},
		{"http://a:b@c@d/", "userinfo"},
		{"http://example.com:80@evil.example/", "userinfo"},
	} {
		target, err := ParseAbsolute(tt.in)
		refusedAs(t, tt.in, target, err, tt.part)
	}
}

func TestParseOrigin(t *testing.T) {
	tunnel, err := ParseAuthority("api.example.com:8443")
	if err != nil {
		t.Fatal(err)
	}
	inner, err := tunnel.ParseOrigin("/v1/chat?stream=true")
	if err != nil {
		t.Fatal(err)
	}
	inner.reading = pathReading{}
	want := Target{Scheme: "https", Host: "api.example.com", Port: 8443, Path: "/v1/chat", Query: "stream=true"}
	if inner != want {
		t.Errorf("ParseOrigin = %+v, want %+v", inner, want)
	}
	for _, tt := range []struct{ in, part string }{
		{"", "target"},
		{"*", "target"},
		{"v1", "target"},
		{"https://api.example.com/", "target"},
		{"https://evil.example/", "target"},
		{"?x", "target"},
		{"/a b", "target"},
		{"/a#b", "target"},
		{"/a\\b", "target"},
		{"/%f", "path"},
		{"/\x7f", "target"},
	} {
		target, err := tunnel.ParseOrigin(tt.in)
		refusedAs(t, tt.in, target, err, tt.part)
	}
}

func TestSameAuthority(t *testing.T) {
	for _, tt := range []struct {
		target string
		same   []string
		other  []string
	}{
		{
			"https://api.example.com/",
			[]string{"api.example.com", "API.example.com", "api.example.com:443", "api.example.com.", "api.example.com.:443"},
			[]string{"", "api.example.com:80", "api.example.com:0443", "api.example.com:", "evil.example", "xapi.example.com", "api.example.com.evil.example", "api.example.com..", "u@api.example.com", "api.example.com:443:443", " api.example.com", "api.example.com\x00", "api.example.com, evil.example", "api.example.com/"},
		},
		{
			"http://api.example.com:8080/",
			[]string{"api.example.com:8080"},
			[]string{"api.example.com", "api.example.com:80", "api.example.com:443"},
		},
		{
			"http://[2001:db8::1]/",
			[]string{"[2001:db8::1]", "[2001:DB8::1]:80", "[2001:db8:0::1]"},
			[]string{"2001:db8::1", "[2001:db8::1]:443", "[2001:db8::2]", "[2001:db8::1", "[2001:db8::1%25lo]"},
		},
		{
			"https://xn--bcher-kva.example/",
			[]string{"xn--bcher-kva.example", "bücher.example"},
			[]string{"bucher.example"},
		},
		{"http://192.0.2.1/", []string{"192.0.2.1"}, []string{"192.0.2.01", "192.0.2.1.", "[::ffff:192.0.2.1]"}},
	} {
		target, err := ParseAbsolute(tt.target)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range tt.same {
			if !target.SameAuthority(s) {
				t.Errorf("%s: SameAuthority(%q) = false", tt.target, s)
			}
		}
		for _, s := range tt.other {
			if target.SameAuthority(s) {
				t.Errorf("%s: SameAuthority(%q) = true", tt.target, s)
			}
		}
	}
}

func TestTargetText(t *testing.T) {
	for _, tt := range []struct{ in, authority, hostHeader, text string }{
		{"http://example.com/a?secret=1", "example.com:80", "example.com", "http://example.com:80/a"},
		{"https://example.com:444/", "example.com:444", "example.com:444", "https://example.com:444/"},
		{"http://example.com:443/", "example.com:443", "example.com:443", "http://example.com:443/"},
		{"wss://[2001:db8::1]/", "[2001:db8::1]:443", "[2001:db8::1]", "wss://[2001:db8::1]:443/"},
	} {
		target, err := ParseAbsolute(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if target.Authority() != tt.authority || target.HostHeader() != tt.hostHeader || target.String() != tt.text || target.LogValue().String() != tt.text {
			t.Errorf("%s: authority %q, host header %q, text %q, log %q", tt.in, target.Authority(), target.HostHeader(), target, target.LogValue())
		}
	}
}
