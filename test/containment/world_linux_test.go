package containment

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

// The users of the pod, as the manifest has them.
const (
	signetUser = 65532
	agentUser  = 1000
)

const (
	podLink  = "pod0"
	siteLink = "site0"
)

// Signet may reach the site, by policy. Nobody may reach the trap.
var (
	pod4, pod6   = netip.MustParsePrefix("10.77.0.1/24"), netip.MustParsePrefix("fd77::1/64")
	site4, site6 = netip.MustParseAddr("10.77.0.2"), netip.MustParseAddr("fd77::2")
	trap4, trap6 = netip.MustParseAddr("10.77.0.3"), netip.MustParseAddr("fd77::3")
)

// world is a pod and what is outside of it.
type world struct {
	t            *testing.T
	pod, outside *namespace
	dir          string // readable by all: the binary, the configuration and data
	dns          *peers.DNS
	site         []*peers.Upstream // api.test and intercepted.test over IPv4, v6.test over IPv6
	traps        []*trap
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, pod: newNamespace(t), outside: newNamespace(t)}
	tools(t, map[string]string{"ip": "iproute2", "nft": "nftables", "curl": "curl", "python3": "python3"})
	connect(t, w.pod, w.outside)
	needNftables(t, w.pod)
	w.address(w.pod, podLink, pod4.String(), pod6.String())
	w.address(w.outside, siteLink, site4.String()+"/24", trap4.String()+"/24", site6.String()+"/64", trap6.String()+"/64")
	w.pod.must(t, "", "ip", "route", "add", "default", "via", site4.String())
	w.pod.must(t, "", "ip", "-6", "route", "add", "default", "via", site6.String())
	// As containers have it: every user may send ICMP echo requests.
	w.pod.do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 2147483647"), 0); err != nil {
			t.Error(err)
		}
	})
	w.watch()
	w.openTraps()
	w.openSite()
	return w
}

func (w *world) address(ns *namespace, link string, prefixes ...string) {
	w.t.Helper()
	ns.must(w.t, "", "ip", "link", "set", "lo", "up")
	ns.must(w.t, "", "ip", "link", "set", link, "up")
	for _, p := range prefixes {
		args := []string{"ip", "addr", "add", p, "dev", link}
		if strings.Contains(p, ":") {
			args = append(args, "nodad") // nobody else is there
		}
		ns.must(w.t, "", args...)
	}
}

// watch counts every packet that comes from the pod for anybody but the site,
// of whatever protocol. The neighbour discovery of the pod's kernel is none.
func (w *world) watch() {
	w.t.Helper()
	w.outside.must(w.t, fmt.Sprintf(`
table inet watch {
  counter v4 {}
  counter v6 {}
  chain arriving {
    type filter hook prerouting priority raw
    iifname != %s accept
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept
    ip daddr != %s counter name v4
    ip6 daddr != %s counter name v6
  }
}`, siteLink, site4, site6), "nft", "-f", "-")
}

// watched is how many packets of that family were counted.
func (w *world) watched(family string) (packets int) {
	w.t.Helper()
	output := w.outside.must(w.t, "", "nft", "list", "counter", "inet", "watch", family)
	_, after, _ := strings.Cut(output, "packets ")
	if _, err := fmt.Sscan(after, &packets); err != nil {
		w.t.Fatalf("read the counter %s of %q: %v", family, output, err)
	}
	return packets
}

func (w *world) openSite() {
	w.t.Helper()
	ca := testkit.CA(w.t)
	leaf, err := ca.Leaf("api.test", "v6.test", "intercepted.test")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range []netip.Addr{site4, site6} {
		u := in(w.t, w.outside, func() (*peers.Upstream, error) {
			return peers.StartUpstream(peers.UpstreamOptions{Address: netip.AddrPortFrom(a, 443).String(), Certificate: &leaf})
		})
		w.t.Cleanup(u.Close)
		w.site = append(w.site, u)
	}
	w.dns = in(w.t, w.outside, func() (*peers.DNS, error) { return peers.StartDNSAt(netip.AddrPortFrom(site4, 53).String()) })
	w.t.Cleanup(w.dns.Close)
	w.dns.Set("api.test", time.Minute, site4)
	w.dns.Set("intercepted.test", time.Minute, site4)
	w.dns.Set("v6.test", time.Minute, site6)
	w.layOut(ca)
}

// layOut makes the files that the pod's users need.
func (w *world) layOut(ca *peers.CA) {
	w.t.Helper()
	dir, err := os.MkdirTemp("", "containment-") //nolint:usetesting // a test's own directory is closed to other users
	must(w.t, err)
	w.t.Cleanup(func() { must(w.t, os.RemoveAll(dir)) })
	must(w.t, os.Chmod(dir, 0o755))
	w.dir = dir
	write := func(name string, data []byte, mode os.FileMode) {
		must(w.t, os.WriteFile(filepath.Join(dir, name), data, mode))
	}
	binary, err := os.ReadFile(testkit.BuildSignet(w.t))
	must(w.t, err)
	write("signet", binary, 0o755)
	write("site.pem", ca.PEM(), 0o644)
	write("policy.yaml", fmt.Appendf(nil, `version: 1
rules:
  - {name: site, hosts: [api.test, v6.test]}
  - {name: intercepted, hosts: [intercepted.test], intercept: true}
addresses: {allow: [%s/32, "%s/128"]}
`, site4, site6), 0o644)
	write("signet.yaml", fmt.Appendf(nil, `listen: 127.0.0.1:3128
metrics_listen: ":9464"
data: data
policy: policy.yaml
resolver: {upstreams: ["udp://%s:53"]}
tls: {extra_roots: [site.pem]}
`, site4), 0o644)
	must(w.t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	must(w.t, os.Chown(filepath.Join(dir, "data"), signetUser, signetUser))
}

// startSignet returns once it serves.
func (w *world) startSignet() *peers.Process {
	w.t.Helper()
	p := in(w.t, w.pod, func() (*peers.Process, error) {
		cmd := command(context.WithoutCancel(w.t.Context()), filepath.Join(w.dir, "signet"), "run", "--config", "signet.yaml")
		cmd.Dir = w.dir
		cmd.SysProcAttr = as(signetUser)
		return peers.StartProcess(cmd)
	})
	w.t.Cleanup(func() {
		p.Kill()
		if w.t.Failed() {
			w.t.Logf("signet wrote:\n%s", p.Output())
		}
	})
	_, err := p.Line(w.t.Context(), func(line string) bool { return strings.Contains(line, `"msg":"serving"`) })
	must(w.t, err)
	return p
}

// as makes a process a user's, without any capability but those named.
func as(user uint32, capabilities ...uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}, AmbientCaps: capabilities}
}

// trap is a listener that the agent must not reach.
type trap struct {
	name  string
	count func() (int64, error)
}

func (w *world) openTraps() {
	w.t.Helper()
	for _, a := range []netip.Addr{trap4, trap6} {
		for _, port := range []uint16{22, 53, 80, 443, 8443} {
			w.tcpTrap(netip.AddrPortFrom(a, port))
		}
		for _, port := range []uint16{53, 443, 4433} {
			w.udpTrap(netip.AddrPortFrom(a, port))
		}
	}
}

func (w *world) tcpTrap(at netip.AddrPort) {
	w.t.Helper()
	l := in(w.t, w.outside, func() (*peers.Tripwire, error) { return peers.StartTripwire(at.String()) })
	w.t.Cleanup(l.Close)
	w.traps = append(w.traps, &trap{name: "tcp " + at.String(), count: func() (n int64, err error) {
		w.outside.do(func() {
			var count int
			count, err = l.Count(w.t.Context())
			n = int64(count)
		})
		return n, err
	}})
}

func (w *world) udpTrap(at netip.AddrPort) {
	w.t.Helper()
	conn := in(w.t, w.outside, func() (*net.UDPConn, error) { return net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)) })
	var n atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		packet := make([]byte, 1)
		for {
			if _, _, err := conn.ReadFromUDPAddrPort(packet); err != nil {
				return
			}
			n.Add(1)
		}
	}()
	w.t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	w.traps = append(w.traps, &trap{name: "udp " + at.String(), count: func() (int64, error) { return n.Load(), nil }})
}

// arrived is what every listener and counter outside has seen so far, by name;
// the site's own are what Signet may add to.
func (w *world) arrived() map[string]int64 {
	w.t.Helper()
	seen := map[string]int64{
		"packets v4":  int64(w.watched("v4")),
		"packets v6":  int64(w.watched("v6")),
		"site v4":     w.site[0].Connections(),
		"site v6":     w.site[1].Connections(),
		"dns queries": int64(w.dns.Queries(exfiltrated)),
	}
	for _, trap := range w.traps {
		n, err := trap.count()
		must(w.t, err)
		seen[trap.name] = n
	}
	return seen
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readAll reads a connection to its end.
func readAll(conn net.Conn) (int64, error) {
	defer func() { _ = conn.Close() }()
	return io.Copy(io.Discard, conn)
}
