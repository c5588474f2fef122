package policy

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

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
