package e2e

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/receipts"
)

const (
	malformedTarget = "HEL_TARGET_MALFORMED"
	hostNotAllowed  = "HEL_HOST_NOT_ALLOWED"
	hostDenied      = "HEL_HOST_DENIED"
)

// hostileHosts are spellings of hosts by which parsers have been led astray, with
// the reason of the denial. Under the policy of the test, allowed.test, its
// subdomains and all of loopback would be reached, if they were taken for that.
var hostileHosts = map[string][]string{
	malformedTarget: {
		// IPv4 in every form but the one (behaviour 3).
		"0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "0X7F000001", "2130706433", "017700000001", "127.1", "127.0.1",
		"127.0.0.01", "127.0.0.256", "127.0.0.1.1", "0x7f.1", "0", "0x", "127.0.0.0x1", "4294967297", "127.0.0.1.", "127.0.0.1..",
		// Brackets, zones, and IPv4 inside IPv6 (4).
		"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1%25lo]", "[::1%lo]", "[v1.x]", "[127.0.0.1]", "[allowed.test]",
		"[::1", "::1]", "[::1]x", "[[::1]]", "[]", "::1", "[::1].allowed.test",
		// Userinfo, backslash, fragment, blanks, escapes, nothing (2).
		"user@allowed.test", "user:secret@allowed.test", "allowed.test@evil.test", "a@b@allowed.test", "@allowed.test",
		`allowed.test\@evil.test`, `evil.test\.allowed.test`, "evil.test#.allowed.test", "evil.test\t.allowed.test",
		"evil.test\x0b.allowed.test", "evil.test\x7f.allowed.test", "allowed%2etest", "%61llowed.test",
		"evil.test%00.allowed.test", "evil.test%2f.allowed.test", "evil.test%23.allowed.test", "127%2e0.0.1", "",
		// Dots, labels, characters (7, 8).
		"allowed.test..", ".allowed.test", "sub..allowed.test", "-a.allowed.test", "a-.allowed.test", "a_b.allowed.test",
		"a*.allowed.test", "*.allowed.test", "ab--c.allowed.test", "a'b.allowed.test", "a,b.allowed.test", "a=b.allowed.test",
		// IDNA (6): digits and dots of other scripts that become an address, A-labels that are none.
		"１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "0ｘ7f.0.0.1", "xn--allowed-.test", "xn--.allowed.test",
		"xn--a.allowed.test", "xn--evil-\x00.allowed.test", "a\u200db.allowed.test", "\u202eallowed.test", "\xff.allowed.test",
		"℀.allowed.test", "evil.test／.allowed.test", "evil.test？.allowed.test", "evil.test＃.allowed.test", "evil＠allowed.test",
	},
	hostNotAllowed: {
		// A rule for names never matches a literal (5).
		"127.0.0.1", "169.254.169.254", "[::1]", "[0:0:0:0:0:0:0:1]", "[fd00:ec2::254]", "[64:ff9b::7f00:1]", "[::127.0.0.1]",
		// By label, never by suffix or prefix (8).
		"evilallowed.test", "allowed.test.evil.test", "two.labels.allowed.test", "test", "allowed", "xallowed.test",
		// Mapped first, then matched (6).
		"evil。test", "ev\u00adil.test", "ｅｖｉｌ.test", "ﬁle.test", "xn--bcher-kva.test", "bücher.test",
	},
	hostDenied: {
		"leak.allowed.test", "LEAK.Allowed.TEST", "leak.allowed.test.", "leak。allowed.test", "ｌｅａｋ.allowed.test", "le\u00adak.allowed.test",
	},
}

// hostilePorts are what stands for the port of an allowed host (9).
var hostilePorts = []string{"+80", "-80", "080", "0", "00080", "65536", "65616", "4294967376", "99999999999999999999", "0x50", "8e1", "80.0", "", "80:80", "８０", "80\t", "80@evil.test", "80%20"}

// A target that two parsers could read as two, is denied before anything is
// made of it: no name is asked for and nobody is connected to.
func TestHostileTargets(t *testing.T) {
	wire := testkit.Tripwire(t, netip.AddrPortFrom(loopback, 0).String())
	port := fmt.Sprint(wire.Addr().Port())
	s := newSite(t, options{rules: fmt.Sprintf(`
rules:
  - {name: allowed, hosts: [allowed.test, "*.allowed.test"], ports: [80, 443, %[1]s], schemes: [http, https]}
  - {name: intercepted, hosts: [inner.allowed.test], ports: [80, 443, %[1]s], intercept: true}
deny:
  - {name: leaks, hosts: [leak.allowed.test]}
`, port), allow: "127.0.0.0/8, '::1/128'"})
	car := s.start()
	const noHost = " HTTP/1.0\r\n\r\n" // it is the target alone that decides
	sent := 0
	denied := func(name, reason, head string) {
		t.Helper()
		status, d := say(t, car.addr, head)
		if d.Reason != reason || status != 400 && status != 403 || d.Hint == "" {
			t.Errorf("%s: %d %+v, want %s", name, status, d, reason)
		}
		sent++
	}
	for reason, hosts := range hostileHosts {
		for _, host := range hosts {
			denied("http "+host, reason, "GET http://"+host+":"+port+"/"+noHost)
			denied("CONNECT "+host, reason, "CONNECT "+host+":"+port+noHost)
		}
	}
	for _, p := range hostilePorts {
		denied("http port "+p, malformedTarget, "GET http://allowed.test:"+p+"/"+noHost)
		denied("CONNECT port "+p, malformedTarget, "CONNECT allowed.test:"+p+noHost)
	}
	for _, target := range []string{ // 10, and forms that are no target for a proxy
		"gopher://allowed.test:" + port + "/", "file:///etc/passwd", "ftp://allowed.test/", "javascript://allowed.test/", "httpx://allowed.test/",
		"http:/allowed.test/", "http:allowed.test/", "http:///allowed.test/", "//allowed.test/", "allowed.test", "allowed.test:" + port, "*",
		"http://allowed.test:" + port + "/%zz", "http://allowed.test:" + port + `/a\b`, "http://allowed.test:" + port + "/#a",
		"https://allowed.test:" + port + "/", "wss://allowed.test:" + port + "/", "ws://allowed.test:" + port + "/",
	} {
		denied(target, malformedTarget, "GET "+target+noHost)
	}
	for _, target := range []string{"allowed.test", "http://allowed.test:" + port, "allowed.test:" + port + "/", "allowed.test:" + port + "?", "/", "*"} {
		denied("CONNECT "+target, malformedTarget, "CONNECT "+target+noHost)
	}

	told := 0
	for _, r := range car.receipts() { // a hundred denials a second share receipts
		if r.Outcome != receipts.Denied || r.Policy.Allowed || r.Detail.Forwarded != nil || r.Detail.DNS != nil {
			t.Errorf("%s %+v %+v", r.Outcome, r.Policy, r.Detail)
		}
		told += int(r.Count)
	}
	if told != sent {
		t.Errorf("the receipts tell of %d denials, and %d were made", told, sent)
	}
	if asked := s.dns.Log(); len(asked) != 0 {
		t.Errorf("the DNS server was asked %v", asked)
	}
}
