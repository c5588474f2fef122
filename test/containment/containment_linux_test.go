package containment

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/signet-egress/signet/internal/testkit/peers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const proxy = "http://127.0.0.1:3128"

// exfiltrated is a name that only the agent asks for.
const exfiltrated = "secret.exfiltrated.test"

//go:embed attempts.py
var attemptsScript string

// attempt is a way around Signet.
type attempt struct {
	Name  string     `json:"name"`
	Kind  string     `json:"kind"` // see attempts.py
	Addr  netip.Addr `json:"addr"`
	Port  int        `json:"port"` // or the protocol's number
	where string     // of world.arrived

	silent bool // the kernel does not tell the sender that the packet was refused
}

// attempts are those of an ordinary user, and those that take NET_RAW.
func attempts() (ordinary, raw []attempt) {
	for family, addrs := range map[string][2]netip.Addr{"v4": {trap4, site4}, "v6": {trap6, site6}} {
		trap, site := addrs[0], addrs[1]
		for _, port := range []int{22, 53, 80, 443, 8443} {
			ordinary = append(ordinary, attempt{Kind: "tcp", Addr: trap, Port: port, where: fmt.Sprintf("tcp %s", at(trap, port))})
		}
		for _, port := range []int{53, 443, 4433} {
			ordinary = append(ordinary, attempt{Kind: "udp", Addr: trap, Port: port, where: fmt.Sprintf("udp %s", at(trap, port))})
		}
		ordinary = append(ordinary,
			attempt{Kind: "tcp", Addr: site, Port: 443, where: "site " + family},
			attempt{Kind: "ping", Addr: trap, where: "packets " + family, silent: family == "v6"})
		raw = append(raw,
			attempt{Kind: "raw-icmp", Addr: trap, where: "packets " + family},
			attempt{Kind: "raw", Addr: trap, Port: 253, where: "packets " + family}) // RFC 3692
	}
	ordinary = append(ordinary, attempt{Kind: "dns", Addr: site4, Port: 53, where: "dns queries"})
	for _, list := range [][]attempt{ordinary, raw} {
		for i, a := range list {
			list[i].Name = fmt.Sprintf("%s %s %d", a.Kind, a.Addr, a.Port)
		}
	}
	return ordinary, raw
}

func at(a netip.Addr, port int) netip.AddrPort { return netip.AddrPortFrom(a, uint16(port)) }

// try makes the attempts in the pod, as user, and returns what each has come to.
func (w *world) try(list []attempt, attributes *syscall.SysProcAttr) map[string]string {
	w.t.Helper()
	argument, err := json.Marshal(list)
	must(w.t, err)
	cmd := command(w.t.Context(), "/usr/bin/python3", "-I", "-c", attemptsScript, string(argument))
	stdout := w.output(cmd, attributes)
	var results map[string]string
	if err := json.Unmarshal([]byte(stdout), &results); err != nil || len(results) != len(list) {
		w.t.Fatalf("%d attempts printed %q: %v", len(list), stdout, err)
	}
	return results
}

// output runs a command in the pod that must succeed.
func (w *world) output(cmd *exec.Cmd, attributes *syscall.SysProcAttr) string {
	w.t.Helper()
	stdout, stderr, code := w.start(cmd, attributes)
	if code != 0 {
		w.t.Fatalf("%s ended with %d: %s", cmd.Path, code, stderr)
	}
	return stdout
}

func (w *world) start(cmd *exec.Cmd, attributes *syscall.SysProcAttr) (stdout, stderr string, code int) {
	w.t.Helper()
	var out, errs bytes.Buffer
	var err error
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &errs, attributes
	w.pod.do(func() { err = cmd.Run() })
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("run %s: %v", cmd.Path, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// curl runs as the agent.
func (w *world) curl(args ...string) (stdout string, code int) {
	w.t.Helper()
	args = append([]string{
		"--disable", "--silent", "--show-error", "--max-time", "20", "--cacert", filepath.Join(w.dir, "site.pem"),
		"--output", "/dev/null", "--write-out", "%{http_connect} %{response_code}",
	}, args...)
	stdout, _, code = w.start(command(w.t.Context(), "/usr/bin/curl", args...), as(agentUser))
	return stdout, code
}

// TestContainment holds the rules of the documentation against an agent that
// does not cooperate. Everything it tries works before the rules are there, so
// that their effect is what is seen.
func TestContainment(t *testing.T) {
	w := newWorld(t)
	signet := w.startSignet()
	ordinary, raw := attempts()

	t.Run("without rules all attempts get out", func(t *testing.T) { w.on(t).open(ordinary, raw) })
	w.load(rules(t))
	t.Run("through Signet", func(t *testing.T) { w.on(t).carried() })
	t.Run("around Signet", func(t *testing.T) { w.on(t).closed(ordinary, raw) })
	must(t, signet.Signal(syscall.SIGKILL))
	<-signet.Done()
	t.Run("Signet is dead", func(t *testing.T) {
		w := w.on(t)
		w.closed(ordinary, raw)
		if out, code := w.curl("--proxy", proxy, "https://api.test/small"); code != 7 {
			t.Errorf("curl through a dead Signet exited with %d: %s", code, out)
		}
	})
}

// TestClosedConnectionsLoseNothing: Signet hands the kernel the end of a body
// and closes; the kernel sends it later, when nobody owns the connection.
func TestClosedConnectionsLoseNothing(t *testing.T) {
	w := newWorld(t)
	w.load(rules(t))
	sink := in(t, w.outside, func() (net.Listener, error) { return net.Listen("tcp", at(site4, 9000).String()) })
	defer func() { must(t, sink.Close()) }()
	sent := w.output(command(t.Context(), "/usr/bin/python3", "-I", "-c", `
import socket, sys
s = socket.create_connection((sys.argv[1], 9000))
s.setblocking(False)
n = 0
try:
    while True: n += s.send(b"x" * 65536)
except BlockingIOError:
    print(n)
`, site4.String()), as(signetUser))
	conn, err := sink.Accept()
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	n, err := readAll(conn)
	if got := fmt.Sprintln(n); err != nil || got != sent {
		t.Errorf("sent %s bytes, and %d arrived: %v", strings.TrimSpace(sent), n, err)
	}
}

// TestServingAgent adds the documentation's rule for an agent that serves.
func TestServingAgent(t *testing.T) {
	w := newWorld(t)
	const reject = "meta skuid != 65532"
	w.load(strings.Replace(rules(t), reject, documented(t, "`(tcp sport 8080 .*?)`")+"\n"+reject, 1))
	server := in(t, w.pod, func() (*peers.Process, error) {
		cmd := command(context.WithoutCancel(t.Context()), "/usr/bin/python3", "-I", "-u", "-c", `
import socket
s = socket.create_server(("", 8080))
print("listening")
c, _ = s.accept()
c.sendall(b"hello")
`)
		cmd.SysProcAttr = as(agentUser)
		return peers.StartProcess(cmd)
	})
	defer server.Kill()
	_, err := server.Line(t.Context(), func(line string) bool { return line == "listening" })
	must(t, err)
	conn := in(t, w.outside, func() (net.Conn, error) { return net.Dial("tcp", at(pod4.Addr(), 8080).String()) })
	if n, err := readAll(conn); n != int64(len("hello")) || err != nil {
		t.Errorf("%d bytes came from the agent: %v", n, err)
	}
	must(t, server.Wait())

	before := w.arrived()
	out := w.output(command(t.Context(), "/usr/bin/python3", "-I", "-c", `
import socket, sys
for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
    with socket.socket(socket.AF_INET, kind) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("", 8080))
        try:
            s.connect((sys.argv[1], 443))
            s.send(b"out")
            print("out")
        except OSError as e:
            print("refused")
`, trap4.String()), as(agentUser))
	if out != "refused\nrefused\n" {
		t.Errorf("from port 8080 the agent got %q", out)
	}
	w.unchanged(before)
}

// on is the world with its failures reported to a subtest.
func (w *world) on(t *testing.T) *world {
	on := *w
	on.t = t
	return &on
}

// open proves the attempts themselves.
func (w *world) open(ordinary, raw []attempt) {
	results := w.try(ordinary, as(agentUser))
	maps.Copy(results, w.try(raw, as(agentUser, unix.CAP_NET_RAW)))
	for name, why := range results {
		if why != "" {
			w.t.Errorf("%s: %s", name, why)
		}
	}
	if out, code := w.curl("--noproxy", "*", "--resolve", "api.test:443:"+site4.String(), "https://api.test/small"); code != 0 {
		w.t.Errorf("curl exited with %d: %s", code, out)
	}
	missing := func() (names []string) {
		seen := w.arrived()
		for _, a := range append(ordinary, raw...) {
			if seen[a.where] == 0 {
				names = append(names, a.Name)
			}
		}
		return names
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for left := missing(); len(left) > 0; left = missing() {
		select {
		case <-tick.C:
		case <-w.t.Context().Done():
			w.t.Fatalf("these did not arrive: %q", left)
		}
	}
}

// load puts the rules in force, and has IPv6 find its neighbours anew.
func (w *world) load(rules string) {
	w.t.Helper()
	w.pod.must(w.t, rules, "nft", "-f", "-")
	w.pod.must(w.t, "", "ip", "neigh", "flush", "dev", podLink)
}

// carried proves that Signet's traffic is not in the way of the rules.
func (w *world) carried() {
	for url, want := range map[string]string{
		"https://api.test/small": "200 200", "https://v6.test/small": "200 200", "https://denied.test/": "403 000",
	} {
		if got, _ := w.curl("--proxy", proxy, url); got != want {
			w.t.Errorf("%s through Signet: %s; want %s", url, got, want)
		}
	}
	// As the kubelet probes it.
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			w.outside.do(func() { conn, err = new(net.Dialer).DialContext(ctx, network, address) })
			return conn, err
		},
	}}
	for _, a := range []netip.Addr{pod4.Addr(), pod6.Addr()} {
		resp, err := client.Get(fmt.Sprintf("http://%s/readyz", at(a, 9464)))
		must(w.t, err)
		must(w.t, resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			w.t.Errorf("a probe of %s: %s", a, resp.Status)
		}
	}
}

// closed proves that no attempt gets out, nor those of another user, nor those
// of a client that was told of Signet and ignores it.
func (w *world) closed(ordinary, raw []attempt) {
	before := w.arrived()
	w.refused(ordinary, as(agentUser))
	w.refused(raw, as(agentUser, unix.CAP_NET_RAW))
	w.refused(ordinary, as(0)) // root is not Signet either
	for _, url := range []string{
		"https://api.test/small", "https://v6.test/small", fmt.Sprintf("http://%s/", trap4), fmt.Sprintf("http://[%s]/", trap6),
	} {
		out, code := w.curl("--proxy", proxy, "--noproxy", "*", "--resolve", "api.test:443:"+site4.String(), "--resolve", "v6.test:443:["+site6.String()+"]", url)
		if code != 7 { // could not connect
			w.t.Errorf("curl --noproxy '*' %s exited with %d: %s", url, code, out)
		}
	}
	w.unchanged(before)
}

func (w *world) refused(list []attempt, attributes *syscall.SysProcAttr) {
	w.t.Helper()
	results := w.try(list, attributes)
	for _, a := range list {
		if results[a.Name] == "" && !a.silent {
			w.t.Errorf("%s got out as user %d", a.Name, attributes.Credential.Uid)
		}
	}
}

// unchanged proves it by what has arrived outside.
func (w *world) unchanged(before map[string]int64) {
	w.t.Helper()
	for name, n := range w.arrived() {
		if n != before[name] {
			w.t.Errorf("%s: %d arrived outside", name, n-before[name])
		}
	}
}

// rules are those of the documentation, as they stand there.
func rules(t *testing.T) string {
	t.Helper()
	return documented(t, "(?s)```nft\n(.*?)```")
}

func documented(t *testing.T, pattern string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.FromSlash("../../docs/kubernetes.md"))
	must(t, err)
	found := regexp.MustCompile(pattern).FindSubmatch(page)
	if found == nil {
		t.Fatalf("docs/kubernetes.md has nothing like %s", pattern)
	}
	return string(found[1])
}
