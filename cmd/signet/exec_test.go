package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/peers"
)

// execSite is what commands under test reach: api.test, which is intercepted,
// and opaque.test, on one upstream; and a directory for the user's state.
type execSite struct {
	t        *testing.T
	dir      string
	upstream *peers.Upstream
	flags    []string // --config of the site
}

func newExecSite(t *testing.T, policy string) *execSite {
	t.Helper()
	ca := testkit.CA(t)
	s := &execSite{t: t, dir: t.TempDir(), upstream: testkit.Secure(t, ca, "api.test", "opaque.test")}
	s.write("ca.pem", string(ca.PEM()))
	s.write("policy.yaml", strings.ReplaceAll(policy, "PORT", fmt.Sprint(s.upstream.Port()))+"\naddresses: {allow: [127.0.0.1/32]}\n")
	s.write("signet.yaml", `
policy: policy.yaml
resolver:
  upstreams: ["udp://127.0.0.1:9"] # discard: a query there is a failure
  timeout: 100ms
  hosts: [{name: api.test, addresses: [127.0.0.1]}, {name: opaque.test, addresses: [127.0.0.1]}, {name: other.test, addresses: [127.0.0.1]}]
tls: {extra_roots: [ca.pem]}
`)
	s.flags = []string{"--config", filepath.Join(s.dir, "signet.yaml")}
	return s
}

const execRules = `version: 1
rules:
  - {name: opened, hosts: [api.test], ports: [PORT], intercept: true}
  - {name: opaque, hosts: [opaque.test], ports: [PORT]}`

func (s *execSite) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// command is signet exec with the site's flags, and args behind them.
func (s *execSite) command(args ...string) *exec.Cmd {
	s.t.Helper()
	args = append([]string{"exec"}, append(s.flags, args...)...)
	cmd := exec.CommandContext(s.t.Context(), testkit.BuildSignet(s.t), args...)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(s.dir, "state"))
	return cmd
}

// run runs it to its end.
func (s *execSite) run(args ...string) (stdout, stderr string, status int) {
	s.t.Helper()
	cmd := s.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestExecClients(t *testing.T) {
	s := newExecSite(t, execRules)
	const script = `
import sys, urllib.request, requests, httpx
for url in sys.argv[1:]:
    print(urllib.request.urlopen(url).read().decode(), end="")
    print(requests.get(url).text, end="")
    print(httpx.get(url).text, end="")
`
	python := testkit.Client{}.PythonCommand(t, script).Args
	curl := testkit.Client{}.CurlCommand(t).Args
	for name, client := range map[string][]string{"curl": curl, "python": python} {
		t.Run(name, func(t *testing.T) {
			opened, opaque := s.upstream.URL("api.test", "/small/1"), s.upstream.URL("opaque.test", "/small/2")
			stdout, stderr, status := s.run(append([]string{"--json", "--"}, append(client, opened, opaque)...)...)
			one, two := "{\"ok\":true,\"path\":\"/small/1\"}\n", "{\"ok\":true,\"path\":\"/small/2\"}\n"
			n := 1
			if name == "python" {
				n = 3
			}
			if want := strings.Repeat(one, n) + strings.Repeat(two, n); status != 0 || stdout != want {
				t.Fatalf("exit status %d, wrote %q; want %q\n%s", status, stdout, want, stderr)
			}
			var got summary
			if err := json.Unmarshal([]byte(stderr), &got); err != nil {
				t.Fatalf("%v\n%s", err, stderr)
			}
			if got.Exchanges != int64(2*n) || len(got.Hosts) != 2 || !got.Verified || got.Mode != "enforce" {
				t.Errorf("summary %s", stderr)
			}
			for _, line := range got.Hosts {
				if line.verdict() != "forwarded" || line.Exchanges != int64(n) {
					t.Errorf("%+v", line)
				}
			}
		})
	}
}

func TestExecTells(t *testing.T) {
	for name, test := range map[string]struct {
		policy string
		hosts  []string
		want   []string // rows of the table
		answer bool
	}{
		"enforce": {
			policy: execRules, hosts: []string{"other.test"},
			want: []string{"1  denied        HEL_HOST_NOT_ALLOWED      other.test:PORT", "  HEL_HOST_NOT_ALLOWED: Signet, the egress proxy of"},
		},
		"report": {
			policy: "version: 1\nmode: report", hosts: []string{"opaque.test", "api.test"}, answer: true,
			want: []string{"1  would deny    HEL_HOST_NOT_ALLOWED      api.test:PORT", "1  would deny    HEL_HOST_NOT_ALLOWED      opaque.test:PORT", "  would deny: carried"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newExecSite(t, test.policy)
			args := append([]string{"--"}, testkit.Client{}.CurlCommand(t).Args...)
			for _, host := range test.hosts {
				args = append(args, s.upstream.URL(host, "/small"))
			}
			stdout, stderr, status := s.run(args...)
			if answered := status == 0 && stdout != ""; answered != test.answer {
				t.Errorf("exit status %d, wrote %q", status, stdout)
			}
			for _, want := range append(test.want, "signet: "+plural(int64(len(test.hosts)), "exchange")+", mode "+name, "verified: ", "receipts: signet receipts --data "+s.dir) {
				if want = strings.ReplaceAll(want, "PORT", fmt.Sprint(s.upstream.Port())); !strings.Contains(stderr, want) {
					t.Errorf("no %q in\n%s", want, stderr)
				}
			}
		})
	}
}

// Without a policy rules deny nothing, and special addresses stay closed.
func TestExecWithoutPolicy(t *testing.T) {
	s := newExecSite(t, execRules)
	s.flags = nil
	tripwire := testkit.Tripwire(t, "127.0.0.2:0")
	literal := fmt.Sprintf("http://127.0.0.2:%d/", tripwire.Addr().Port())
	stdout, stderr, _ := s.run(append([]string{"--"}, append(testkit.Client{}.CurlCommand(t).Args, literal)...)...)
	if want := "HEL_ADDRESS_DENIED        127.0.0.2:"; !strings.Contains(stderr, "mode report") || !strings.Contains(stderr, want) {
		t.Errorf("no %q in\n%s", want, stderr)
	}
	if !strings.Contains(stdout, "HEL_ADDRESS_DENIED") {
		t.Errorf("the agent got %q", stdout)
	}
}

func TestExecStatus(t *testing.T) {
	s := newExecSite(t, execRules)
	plain := filepath.Join(s.dir, "policy.yaml")
	s.write("bad.yaml", "polisy: x\n")
	s.write("noexec", "\x7fELF")
	if err := os.Chmod(filepath.Join(s.dir, "noexec"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args   []string
		status int
		stderr string
	}{
		"zero":           {args: []string{"--", "true"}, stderr: "verified: 0 receipts"},
		"the command's":  {args: []string{"--", "sh", "-c", "exit 7"}, status: 7},
		"a signal":       {args: []string{"--", "sh", "-c", "kill -USR1 $$"}, status: 128 + int(syscall.SIGUSR1)},
		"not found":      {args: []string{"--", "no-such-command"}, status: 127, stderr: "signet: running no-such-command: executable file not found in $PATH\n"},
		"not a path":     {args: []string{"--", s.dir + "/none"}, status: 127},
		"not executable": {args: []string{"--", plain}, status: 126, stderr: "permission denied"},
		"not a program":  {args: []string{"--", s.dir + "/noexec"}, status: 126, stderr: "exec format error"},
		"no command":     {args: []string{"--json"}, status: 2, stderr: "signet: no command is given"},
		"no policy":      {args: []string{"--policy", s.dir + "/none.yaml", "--", "true"}, status: 2, stderr: "none.yaml does not exist"},
		"bad config":     {args: []string{"--config", s.dir + "/bad.yaml", "--", "true"}, status: 2, stderr: "did you mean policy?"},
		"bad bundle":     {args: []string{"--", "true"}, status: 1, stderr: "CURL_CA_BUNDLE: "},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "bad bundle" {
				t.Setenv("CURL_CA_BUNDLE", plain)
			}
			stdout, stderr, status := s.run(test.args...)
			if status != test.status || stdout != "" || !strings.Contains(stderr, test.stderr) {
				t.Errorf("exit status %d, stdout %q, stderr\n%s", status, stdout, stderr)
			}
		})
	}
}

func TestExecHandsOnStandardInput(t *testing.T) {
	s := newExecSite(t, execRules)
	cmd := s.command("--", "cat")
	cmd.Stdin = strings.NewReader("as it came")
	if out, err := cmd.Output(); err != nil || string(out) != "as it came" {
		t.Errorf("%q, %v", out, err)
	}
}

// Each run has a directory of its own, and gives it back.
func TestExecRunsAtOnce(t *testing.T) {
	s := newExecSite(t, execRules)
	const runs = 3
	waiting := make([]*exec.Cmd, runs)
	inputs := make([]io.WriteCloser, runs)
	for i := range runs {
		cmd := s.command("--", "sh", "-c", "echo ready; read line")
		inputs[i], _ = cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
			t.Fatalf("run %d wrote %q, %v", i+1, line, err)
		}
		waiting[i] = cmd
		if _, err := os.Stat(s.chain(i + 1)); err != nil {
			t.Error(err)
		}
	}
	for i, cmd := range waiting {
		_, _ = io.WriteString(inputs[i], "go\n")
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	_, stderr, _ := s.run("--json", "--", "true")
	var again summary
	if err := json.Unmarshal([]byte(stderr), &again); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	if again.Data != s.chain(1) || again.Last < 7 || again.Exchanges != 0 {
		t.Errorf("the next run is %+v; want the first chain, continued", again)
	}
	if _, stderr, status := s.run("--data", s.chain(2), "--", "true"); status != 0 {
		t.Errorf("a named directory: exit status %d\n%s", status, stderr)
	}
}

func (s *execSite) chain(n int) string {
	return filepath.Join(s.dir, "state", "signet", "exec", "default", fmt.Sprint(n))
}

func TestExecRefusesADirectoryInUse(t *testing.T) {
	s := newExecSite(t, execRules)
	data := filepath.Join(s.dir, "data")
	p := testkit.Start(t, s.command("--data", data, "--", "sh", "-c", "echo ready; exec cat /dev/zero >/dev/null"))
	if _, err := p.Line(t.Context(), func(line string) bool { return line == "ready" }); err != nil {
		t.Fatal(err)
	}
	if _, stderr, status := s.run("--data", data, "--", "true"); status != 1 || !strings.Contains(stderr, "in use by another process") {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
}

// What a killed run has left is put on record by the next.
func TestExecRecovers(t *testing.T) {
	s := newExecSite(t, execRules)
	url := s.upstream.URL("api.test", "/slow?gate=never")
	p := testkit.Start(t, s.command(append([]string{"--"}, append(testkit.Client{}.CurlCommand(t).Args, url)...)...))
	<-s.upstream.Gate("never").Entered()
	p.Kill()
	_, stderr, status := s.run("--", "true")
	if status != 0 || !strings.Contains(stderr, "signet: 0 exchanges") || !strings.Contains(stderr, "verified: 1 receipts") {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	if out := signet(t, "receipts", "--data", s.chain(1), "--outcome", "unknown"); !strings.Contains(out, "/slow") {
		t.Errorf("receipts:\n%s", out)
	}
}

func TestExecPassesSignalsOn(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			s := newExecSite(t, execRules)
			p := testkit.Start(t, s.command("--", "sh", "-c", "trap 'echo caught; exit 9' "+name+"; echo ready; while :; do read line || sleep 0.01; done"))
			if _, err := p.Line(t.Context(), func(line string) bool { return line == "ready" }); err != nil {
				t.Fatal(err)
			}
			if err := p.Signal(sig); err != nil {
				t.Fatal(err)
			}
			var failed *exec.ExitError
			if err := p.Wait(); !errors.As(err, &failed) || failed.ExitCode() != 9 || !strings.Contains(p.Output(), "caught") || !strings.Contains(p.Output(), "verified: 0 receipts") {
				t.Errorf("%v, wrote\n%s", err, p.Output())
			}
		})
	}
}

// A key on the terminal reaches the command once, from the terminal.
func TestExecLeavesKeysToTheTerminal(t *testing.T) {
	s := newExecSite(t, execRules)
	const script = `
import signal
keys = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, keys) # none comes between ready and the wait
print("ready")
count = 0
while signal.sigwait(keys) == signal.SIGINT:
    count += 1
    print("caught", count)
print("in all", count)
`
	terminal, tty := openTerminal(t)
	cmd := s.command(append([]string{"--"}, testkit.Client{}.PythonCommand(t, script).Args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = tty.Close()
	lines := bufio.NewScanner(terminal)
	until := func(want string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return
			}
		}
		t.Errorf("no %q", want)
	}
	until("ready")
	const interrupt = "\x03"
	_, _ = terminal.WriteString(interrupt)
	until("caught 1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until("in all 1")
	until("verified: 0 receipts")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// openTerminal opens a pseudo-terminal: the side of the one who types, and the
// side of the program.
func openTerminal(t *testing.T) (terminal, tty *os.File) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	if err := unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return terminal, tty
}
