package policy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unicode"
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

// hostileHosts are hosts that some parser reads as another host than some other
// parser does, with the part that is at fault.
var hostileHosts = []struct{ host, part string }{
	{"", "host"},
	{".", "host"},
	{"..", "host"},
	// Bytes that no host has.
	{"a b", "target"},
	{" a", "target"},
	{"a\t", "target"},
	{"a\r\nHost: b", "target"},
	{"a\x00b", "target"},
	{"a\x7f", "target"},
	{"a\x01", "target"},
	{"a\\b", "target"},
	{"\\a", "target"},
	{"a#b", "target"},
	{"a#@b", "target"},
	{"a\u0020", "target"},
	{"a%2eb", "host"},
	{"a%00", "host"},
	{"%61", "host"},
	{"127%2e0.0.1", "host"},
	{"a%", "host"},
	{"a%25", "host"},
	{"a_b.example", "host"},
	{"_dmarc.example", "host"},
	{"a!b", "host"},
	{"a,b", "host"},
	{"a;b", "host"},
	{"a&b", "host"},
	{"a|b", "host"},
	{"a<b>", "host"},
	{"a^b", "host"},
	{"a`b", "host"},
	{"{a}", "host"},
	{"a'b", "host"},
	{"a\"b", "host"},
	{"a$b", "host"},
	{"a+b", "host"},
	{"a=b", "host"},
	{"a~b", "host"},
	{"a(b)", "host"},
	{"*", "host"},
	{"*.example.com", "host"},
	// User names.
	{"user@a", "userinfo"},
	{"user:pw@a", "userinfo"},
	{"@a", "userinfo"},
	{"a@", "userinfo"},
	{"a@b@c", "userinfo"},
	{"allowed.example@evil.example", "userinfo"},
	// Dots.
	{"a..", "host"},
	{"a...", "host"},
	{".a", "host"},
	{"a..b", "host"},
	{"a。。b", "host"},
	{"。a", "host"},
	{"a。", "host"},
	{"a.。", "host"},
	{"a｡", "host"},
	{"ü..", "host"},
	// Hyphens and lengths.
	{"-a.example", "host"},
	{"a-.example", "host"},
	{"ab--c.example", "host"},
	{"-", "host"},
	{"a.-b", "host"},
	{"r3---sn.example", "host"},
	{strings.Repeat("a", 64) + ".example", "host"},
	{strings.Repeat("a.", 127) + "a", "host"},
	{strings.Repeat("ü", 64) + ".example", "host"},
	{strings.Repeat("ü", 5000), "host"},
	// IPv4 in other spellings.
	{"0177.0.0.1", "host"},
	{"127.1", "host"},
	{"127.0.1", "host"},
	{"2130706433", "host"},
	{"0x7f000001", "host"},
	{"0x7f.0.0.1", "host"},
	{"0x7f.0x0.0x0.0x1", "host"},
	{"017700000001", "host"},
	{"127.0.0.01", "host"},
	{"00.0.0.0", "host"},
	{"0", "host"},
	{"0x", "host"},
	{"0X7F.1", "host"},
	{"1.2.3.4.5", "host"},
	{"1.2.3.256", "host"},
	{"256.256.256.256", "host"},
	{"127.0.0.1.", "host"},
	{"127.0.0.1..", "host"},
	{"1.2.3", "host"},
	{"a.1", "host"},
	{"a.0x1", "host"},
	{"example.com.443", "host"},
	{"a.0xg", "host"},
	{"99999999999999999999", "host"},
	{"127.0.0.1e0", ""},
	{"１２７.0.0.1", "host"},
	{"１２７．０．０．１", "host"},
	{"127。0。0。1", "host"},
	{"①②⑦.⓪.⓪.①", "host"},
	{"𝟏𝟐𝟕.0.0.1", "host"},
	{"２１３０７０６４３３", "host"},
	{"0ｘ7f.1", "host"},
	{"169.254.169.254\u00ad", "host"},
	{"169\u200b.254.169.254", "host"},
	// IPv6.
	{"::1", "host"},
	{"2001:db8::1", "host"},
	{"[::1", "host"},
	{"::1]", "host"},
	{"[]", "host"},
	{"[", "host"},
	{"]", "host"},
	{"[[::1]]", "host"},
	{"[::1]]", "host"},
	{"[1.2.3.4]", "host"},
	{"[localhost]", "host"},
	{"[example.com]", "host"},
	{"[::1%25eth0]", "host"},
	{"[fe80::1%eth0]", "host"},
	{"[fe80::1%]", "host"},
	{"[v1.a]", "host"},
	{"[vF.::1]", "host"},
	{"[::ffff:127.0.0.1]", "host"},
	{"[::ffff:7f00:1]", "host"},
	{"[::1].example.com", "host"},
	{"[::1]a", "host"},
	{"a[::1]", "host"},
	{"a[b]", "host"},
	{"[:::]", "host"},
	{"[1::2::3]", "host"},
	{"[12345::]", "host"},
	{"[::1::]", "host"},
	{"[0:0:0:0:0:0:0:0:1]", "host"},
	{"[::1][::2]", "host"},
	{"[::1 ]", "target"},
	{"[::１]", "host"},
	// Internationalized names.
	{"xn--", "host"},
	{"xn--.example", "host"},
	{"xn---", "host"},
	{"xn--a", "host"},
	{"xn--a-.example", "host"},
	{"xn--abc-.example", "host"},
	{"xn--example-.com", "host"},
	{"XN--LOCALHOST-", "host"},
	{"xn--\xff", "host"},
	{"\xff\xfe.example", "host"},
	{"\xc0\xae.example", "host"},
	{"a\xedb.example", "host"},
	{"xn--0", "host"},
	{"xn--99999999999.example", "host"},
	{"a⁄b.example", ""},
	{"a／b.example", "host"},
	{"a＼b.example", "host"},
	{"a？b", "host"},
	{"a＃b", "host"},
	{"a＠b", "host"},
	{"a：443", "host"},
	{"℀.example", "host"},
	{"a％2eb", "host"},
	{"a＿b", "host"},
	{"\u202eexample.com", "host"},
	{"exa\u200dmple.com", "host"},
	{"exa\u200cmple.com", "host"},
	{"\u0627a.example", "host"},
	{"a\u0627.example", "host"},
	{"\u0300a.example", "host"},
	{"xn--a-ecp.ru", ""},
	{"\U000e0001a.example", "host"},
	{"a\ufffdb", "host"},
	{"[ü]", "host"},
	{"☁\ufe0f\u20e3.example", ""},
	{"\u00ad", "host"},
	{"\u2060", "host"},
	{"\u200b.example", "host"},
	{"a.\u00ad", "host"},
}

func TestParseAuthorityRefusesHostileHosts(t *testing.T) {
	for _, tt := range hostileHosts {
		if tt.part == "" {
			continue // a name, if an odd one; here for the invariants
		}
		in := tt.host + ":443"
		target, err := ParseAuthority(in)
		refusedAs(t, in, target, err, tt.part)
	}
}

func TestParseAbsoluteRefusesHostileHosts(t *testing.T) {
	for _, tt := range hostileHosts {
		if tt.part == "" {
			continue
		}
		for _, format := range []string{"http://HOST/", "https://HOST:8443/a?b", "http://HOST", "http://HOST?q"} {
			in := strings.Replace(format, "HOST", tt.host, 1)
			target, err := ParseAbsolute(in)
			refusedAs(t, in, target, err, tt.part)
		}
	}
}

// TestHostileHostsNeverBecomeRules: a policy file cannot hold what a request
// cannot.
func TestHostileHostsNeverBecomeRules(t *testing.T) {
	for _, tt := range hostileHosts {
		if tt.part == "" || tt.host == "::1" || tt.host == "2001:db8::1" || tt.host == "*.example.com" {
			continue
		}
		if p, err := parseHostPattern(tt.host); err == nil {
			t.Errorf("parseHostPattern(%q) = %+v, want an error", tt.host, p)
		}
	}
}

func refusedAs(t *testing.T, in string, target Target, err error, part string) {
	t.Helper()
	var malformed *TargetError
	if !errors.As(err, &malformed) {
		t.Errorf("parsing %q: got %+v, %v, want a *TargetError", in, target, err)
		return
	}
	if malformed.Part != part {
		t.Errorf("parsing %q: part %q (%v), want %q", in, malformed.Part, err, part)
	}
	if target != (Target{}) {
		t.Errorf("parsing %q: %+v beside an error", in, target)
	}
	for _, r := range malformed.Error() {
		if r >= unicode.MaxASCII || unicode.IsControl(r) {
			t.Errorf("parsing %q: the error echoes %q: %q", in, r, malformed.Error())
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
