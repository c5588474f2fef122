package resolver

import (
	"encoding/csv"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// registryBlock is a registry entry as this test reads it, apart from the
// generator.
type registryBlock struct {
	prefix netip.Prefix
	global bool
}

func readRegistryBlocks(t testing.TB) []registryBlock {
	t.Helper()
	var blocks []registryBlock
	for _, name := range []string{"data/iana-ipv4-special-registry-1.csv", "data/iana-ipv6-special-registry-1.csv"} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] {
			for cidr := range strings.SplitSeq(row[0], ",") {
				prefix := netip.MustParsePrefix(strings.Fields(cidr)[0])
				blocks = append(blocks, registryBlock{prefix, strings.HasPrefix(row[8], "True")})
			}
		}
	}
	if len(blocks) < 50 {
		t.Fatalf("only %d blocks read", len(blocks))
	}
	return blocks
}

// reachable is the registries' own rule: the most specific block decides, an
// address in none is global. What Signet adds to it is at the end.
func reachable(blocks []registryBlock, a netip.Addr) bool {
	global, bits := true, -1
	for _, b := range blocks {
		if b.prefix.Contains(a) && b.prefix.Bits() > bits {
			global, bits = b.global, b.prefix.Bits()
		}
	}
	if a.Is6() {
		b := a.As16()
		isatap := b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
		return global && b[0]>>5 == 1 && !isatap
	}
	_, isMetadata := metadata[a]
	return global && !a.IsMulticast() && !isMetadata
}

func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestEveryBlockAtItsEdges(t *testing.T) {
	blocks := readRegistryBlocks(t)
	g := NewGuard(nil, nil, nil)
	for _, b := range blocks {
		first, last := b.prefix.Addr(), last(b.prefix)
		for where, a := range map[string]netip.Addr{"first": first, "last": last, "before": first.Prev(), "after": last.Next()} {
			if !a.IsValid() || a.Is4In6() {
				continue
			}
			if got, want := g.Address(a).Allowed, reachable(blocks, a); got != want {
				t.Errorf("%s: %s address %s: allowed is %t", b.prefix, where, a, got)
			}
		}
	}
}

func TestClasses(t *testing.T) {
	g := NewGuard(nil, nil, nil)
	for addr, want := range map[string]string{
		"9.9.9.9": ClassPublic, "2620:fe::fe": ClassPublic, "192.0.0.9": ClassPublic, "2001:1::1": ClassPublic, "2001:20::1": ClassPublic,
		"10.1.2.3": ClassPrivateUse, "172.31.255.255": ClassPrivateUse, "192.168.0.1": ClassPrivateUse,
		"100.64.0.1": ClassShared, "127.0.0.1": ClassLoopback, "::1": ClassLoopback,
		"169.254.1.1": ClassLinkLocal, "fe80::1": ClassLinkLocal, "fe80::1%eth0": ClassLinkLocal,
		"fd12::1": ClassUniqueLocal, "0.0.0.0": ClassUnspecified, "::": ClassUnspecified, "0.1.2.3": ClassThisNetwork,
		"192.0.0.170": ClassProtocol, "5f00::1": ClassProtocol, "2001::1:0:0:0": ClassIPv4Embedded, "2001:100::": ClassProtocol,
		"192.0.2.1": ClassDocumentation, "2001:db8::1": ClassDocumentation, "3fff::1": ClassDocumentation,
		"198.19.0.1": ClassBenchmarking, "2001:2::1": ClassBenchmarking,
		"240.0.0.1": ClassReserved, "255.255.255.255": ClassBroadcast,
		"224.0.0.1": ClassMulticast, "239.255.255.255": ClassMulticast, "ff02::1": ClassMulticast,
		"192.88.99.1": ClassDeprecated, "2001:10::1": ClassDeprecated, "100::1": ClassDiscard,
		"4000::1": ClassUnallocated, "fec0::1": ClassUnallocated, "::5": ClassUnallocated,
		"::ffff:10.0.0.1": ClassPrivateUse, "::ffff:9.9.9.9": ClassPublic,
		"169.254.169.254": ClassMetadata, "168.63.129.16": ClassMetadata, "fd00:ec2::254": ClassMetadata, "fe80::a9fe:a9fe%1": ClassMetadata,
		"100.100.100.200": ClassMetadata, "::ffff:169.254.169.254": ClassMetadata, "64:ff9b::a9fe:a9fe": ClassMetadata,
	} {
		v := g.Address(netip.MustParseAddr(addr))
		if v.Class != want || v.Allowed != (want == ClassPublic) {
			t.Errorf("%s: %+v, want class %s", addr, v, want)
		}
		if !v.Allowed && (!v.Block.IsValid() || v.What == "") {
			t.Errorf("%s: the verdict does not say why: %+v", addr, v)
		}
	}
	if v := g.Address(netip.Addr{}); v.Allowed || v.Class != ClassInvalid {
		t.Errorf("no address: %+v", v)
	}
}

func TestClassesAreClosed(t *testing.T) {
	all := Classes()
	for _, table := range [][]block{special4, special6, others, {outside6}} {
		for _, b := range table {
			if !slices.Contains(all, b.class) {
				t.Errorf("%s has the class %q, which is not among Classes", b.prefix, b.class)
			}
		}
	}
	if slices.Sort(all); len(slices.Compact(all)) != len(Classes()) {
		t.Error("Classes holds a class twice")
	}
}

// embeddings lists each way to carry an IPv4 address in IPv6.
var embeddings = map[string]func(v4 [4]byte) netip.Addr{
	"compatible":      func(v [4]byte) netip.Addr { return with("::", 12, v) },
	"SIIT":            func(v [4]byte) netip.Addr { return with("::ffff:0:0:0", 12, v) },
	"NAT64":           func(v [4]byte) netip.Addr { return with("64:ff9b::", 12, v) },
	"NAT64 local /96": func(v [4]byte) netip.Addr { return with("64:ff9b:1:2:3:4::", 12, v) },
	"NAT64 local /48": func(v [4]byte) netip.Addr { return nat64Layout("64:ff9b:1::", 6, v) },
	"NAT64 local /56": func(v [4]byte) netip.Addr { return nat64Layout("64:ff9b:1:ab00::", 7, v) },
	"NAT64 local /64": func(v [4]byte) netip.Addr { return nat64Layout("64:ff9b:1:abcd::", 8, v) },
	"6to4":            func(v [4]byte) netip.Addr { return with("2002::1", 2, v) },
	"Teredo": func(v [4]byte) netip.Addr {
		return with("2001:0:909:909:8000:1::", 12, [4]byte{^v[0], ^v[1], ^v[2], ^v[3]})
	},
	"ISATAP":            func(v [4]byte) netip.Addr { return with("2600:1:2:3:0:5efe::", 12, v) },
	"ISATAP, universal": func(v [4]byte) netip.Addr { return with("2600:1:2:3:200:5efe::", 12, v) },
	"ISATAP link-local": func(v [4]byte) netip.Addr { return with("fe80::5efe:0:0", 12, v) },
}

func with(base string, at int, v4 [4]byte) netip.Addr {
	b := netip.MustParseAddr(base).As16()
	copy(b[at:], v4[:])
	return netip.AddrFrom16(b)
}

// nat64Layout places v4 from byte at on, around byte 8, which RFC 6052 keeps zero.
func nat64Layout(base string, at int, v4 [4]byte) netip.Addr {
	b := netip.MustParseAddr(base).As16()
	for _, octet := range v4 {
		if at == 8 {
			at++
		}
		b[at] = octet
		at++
	}
	return netip.AddrFrom16(b)
}

func drawIPv4(t *rapid.T) netip.Addr {
	var v4 [4]byte
	copy(v4[:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "ipv4"))
	edges := []netip.Addr{netip.AddrFrom4(v4)}
	for _, b := range special4 {
		edges = append(edges, b.prefix.Addr(), last(b.prefix))
	}
	for m := range metadata {
		if m.Is4() {
			edges = append(edges, m)
		}
	}
	slices.SortFunc(edges[1:], netip.Addr.Compare)
	return rapid.SampledFrom(edges).Draw(t, "address")
}

func TestNoEmbeddingReachesDeniedIPv4(t *testing.T) {
	everything6 := NewGuard([]netip.Prefix{netip.MustParsePrefix("::/0")}, nil, nil)
	strict := NewGuard(nil, nil, nil)
	rapid.Check(t, func(t *rapid.T) {
		v4 := drawIPv4(t)
		for name, embed := range embeddings {
			a := embed(v4.As4())
			if strict.Address(a).Allowed {
				t.Fatalf("%s of %s, %s, is allowed without a hole", name, v4, a)
			}
			if everything6.Address(a).Allowed && !strict.Address(v4).Allowed {
				t.Fatalf("%s of %s, %s, is allowed by a hole for IPv6", name, v4, a)
			}
		}
	})
}

func TestMetadataIsClosedInsideEveryHole(t *testing.T) {
	holes := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	for m := range metadata {
		holes = append(holes, netip.PrefixFrom(m, m.BitLen()))
	}
	g := NewGuard(holes, nil, nil)
	for m := range metadata {
		forms := map[string]netip.Addr{"plain": m}
		if m.Is4() {
			forms["mapped"] = netip.AddrFrom16(m.As16())
			for name, embed := range embeddings {
				forms[name] = embed(m.As4())
			}
		} else {
			forms["zone"] = m.WithZone("eth0")
		}
		for name, a := range forms {
			if v := g.Address(a); v.Allowed {
				t.Errorf("%s as %s, %s: %+v", m, name, a, v)
			}
		}
	}
}

func TestGuardAgreesWithTheRegistries(t *testing.T) {
	blocks := readRegistryBlocks(t)
	g := NewGuard(nil, nil, nil)
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SampledFrom(blocks).Draw(t, "block")
		a := b.prefix.Addr()
		octets := a.AsSlice()
		for i := b.prefix.Bits(); i < len(octets)*8; i++ {
			if rapid.Bool().Draw(t, "bit") {
				octets[i/8] |= 0x80 >> (i % 8)
			}
		}
		a, _ = netip.AddrFromSlice(octets)
		if a.Is4In6() {
			if g.Address(a) != g.Address(a.Unmap()) {
				t.Fatalf("%s: mapped and plain form differ", a)
			}
			return
		}
		if got := g.Address(a); got.Allowed != reachable(blocks, a) {
			t.Fatalf("%s: %+v", a, got)
		}
		if a.Is6() && g.Address(a.WithZone("eth0")) != g.Address(a) {
			t.Fatalf("%s: a zone changes the verdict", a)
		}
	})
}

func TestHoles(t *testing.T) {
	g := NewGuard([]netip.Prefix{
		netip.MustParsePrefix("10.20.0.0/16"),
		netip.MustParsePrefix("127.0.0.5/8"),
		netip.MustParsePrefix("::ffff:192.168.7.0/120"),
		netip.MustParsePrefix("fd00:1::/32"),
		netip.MustParsePrefix("64:ff9b::/96"),
		netip.MustParsePrefix("224.0.0.0/4"),
		netip.MustParsePrefix("0.0.0.0/32"),
		netip.MustParsePrefix("2002::/16"),
	}, nil, nil)
	for addr, want := range map[string]bool{
		"10.20.0.0": true, "10.20.255.255": true, "10.19.255.255": false, "10.21.0.0": false,
		"::ffff:10.20.1.1": true, "127.0.0.1": true, "192.168.7.9": true, "192.168.8.9": false,
		"fd00:1::1": true, "fd00:2::1": false,
		"64:ff9b::909:909": true, "64:ff9b::a14:1": true, "64:ff9b::a15:1": false, "64:ff9b::c0a8:101": false,
		"224.0.0.1": false, "0.0.0.0": false, "2002:909:909::1": false,
	} {
		if v := g.Address(netip.MustParseAddr(addr)); v.Allowed != want {
			t.Errorf("%s: %+v", addr, v)
		}
	}
	if v := g.Address(netip.MustParseAddr("10.20.0.1")); v.Class != ClassPrivateUse {
		t.Errorf("a hole hides the class: %+v", v)
	}
}

func TestOwnListeners(t *testing.T) {
	holes := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	own := []netip.AddrPort{
		netip.MustParseAddrPort("127.0.0.1:3128"),
		netip.MustParseAddrPort("[::]:9464"),
	}
	local := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("10.1.0.9"), netip.MustParseAddr("fe80::9%eth0")}
	g := NewGuard(append(holes, netip.MustParsePrefix("10.1.0.9/32"), netip.MustParsePrefix("fe80::9/128")), own, local)
	for endpoint, want := range map[string]string{
		"127.0.0.1:3128": ClassOwnPort, "[::ffff:127.0.0.1]:3128": ClassOwnPort, "127.0.0.2:3128": "",
		"127.0.0.1:9464": ClassOwnPort, "127.9.9.9:9464": ClassOwnPort, "[::1]:9464": ClassOwnPort,
		"10.1.0.9:9464": ClassOwnPort, "[::ffff:10.1.0.9]:9464": ClassOwnPort, "[64:ff9b::a01:9]:9464": ClassOwnPort,
		"[fe80::9%eth1]:9464": ClassOwnPort, "10.1.0.10:9464": "", "10.1.0.9:443": "", "0.0.0.0:9464": ClassUnspecified,
	} {
		v := g.Endpoint(netip.MustParseAddrPort(endpoint))
		if v.Allowed != (want == "") || want != "" && v.Class != want {
			t.Errorf("%s: %+v, want %q", endpoint, v, want)
		}
	}
}

func TestOwnAddresses(t *testing.T) {
	local := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.1.0.9"), netip.MustParseAddr("9.9.9.9")}
	g := NewGuard([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8")}, nil, local)
	for addr, want := range map[string]string{
		"10.1.0.9": ClassOwnAddress, "9.9.9.9": ClassOwnAddress, "10.1.0.10": "", "127.0.0.1": "",
	} {
		v := g.Address(netip.MustParseAddr(addr))
		if v.Allowed != (want == "") || want != "" && v.Class != want {
			t.Errorf("%s: %+v, want %q", addr, v, want)
		}
	}
}

func TestAPIServer(t *testing.T) {
	for _, server := range []string{"10.96.0.1", "::ffff:10.96.0.1", "fd00:96::1"} {
		a := netip.MustParseAddr(server)
		wide := NewGuard(prefixes("10.0.0.0/8", "fd00::/8", "64:ff9b::/96"), nil, nil).WithAPIServer(a)
		named := NewGuard(prefixes("10.96.0.1/32", "fd00:96::1/128"), nil, nil).WithAPIServer(a)
		if v := wide.Address(a); v.Allowed || v.Class != ClassAPIServer || v.What == "" {
			t.Errorf("%s in a wide hole: %+v", server, v)
		}
		if v := named.Address(a); !v.Allowed {
			t.Errorf("%s in a hole of its own: %+v", server, v)
		}
		if v := wide.Address(netip.MustParseAddr("10.96.0.2")); !v.Allowed {
			t.Errorf("beside %s: %+v", server, v)
		}
	}
	translated := NewGuard(prefixes("10.0.0.0/8", "64:ff9b::/96"), nil, nil).WithAPIServer(netip.MustParseAddr("10.96.0.1"))
	if v := translated.Address(netip.MustParseAddr("64:ff9b::a60:1")); v.Allowed || v.Class != ClassAPIServer {
		t.Errorf("behind a translator: %+v", v)
	}
}

func TestPref64(t *testing.T) {
	g := NewGuard(prefixes("10.20.0.0/16", "2001:db8:9::/48"), []netip.AddrPort{netip.MustParseAddrPort("10.20.0.9:3128")}, nil).WithNAT64(
		prefixes("2600:32::/32", "2600:40::/40", "2600:48::/48", "2600:56::/56", "2600:64::/64", "2600:96::/96", "64:ff9b:1:96::/96", "2600:33::/33", "2001:db8:9:96::/96"))
	at := map[string]int{"2600:32::": 4, "2600:40::": 5, "2600:48::": 6, "2600:56::": 7, "2600:64::": 8, "2600:96::": 12, "64:ff9b:1:96::": 12, "2001:db8:9:96::": 12}
	for base, from := range at {
		for v4, class := range map[string]string{
			"9.9.9.9": ClassPublic, "10.20.0.1": "", "10.21.0.1": ClassPrivateUse, "127.0.0.1": ClassLoopback,
			"169.254.169.254": ClassMetadata, "0.0.0.0": ClassUnspecified, "224.0.0.1": ClassMulticast,
		} {
			a := nat64Layout(base, from, netip.MustParseAddr(v4).As4())
			v := g.Address(a)
			if allowed := class == ClassPublic || class == ""; v.Allowed != allowed || class != "" && v.Class != class {
				t.Errorf("%s within %s, %s: %+v", v4, base, a, v)
			}
		}
		a := nat64Layout(base, from, [4]byte{10, 20, 0, 9})
		if v := g.Endpoint(netip.AddrPortFrom(a, 3128)); v.Class != ClassOwnPort {
			t.Errorf("own port behind %s: %+v", base, v)
		}
	}
	for addr, want := range map[string]string{
		"2600:64::100:0:0:0": ClassInvalid, // byte 8 is not zero
		"2600:33::1":         ClassInvalid, // no length of RFC 6052
		"2600:97::1":         ClassPublic,
		"64:ff9b::909:909":   ClassIPv4Embedded,
		"64:ff9b:1:97::1":    ClassIPv4Embedded,
	} {
		if v := g.Address(netip.MustParseAddr(addr)); v.Class != want {
			t.Errorf("%s: %+v, want %s", addr, v, want)
		}
	}
}
