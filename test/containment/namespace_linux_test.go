package containment

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace, held by a thread that lives in it. Sockets
// that are opened and processes that are started on that thread belong to it,
// and it ends with them: nothing is left behind, however the test ends.
type namespace struct {
	thread int // its id
	work   chan func()
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	ns := &namespace{work: make(chan func())}
	entered := make(chan error)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		ns.thread = unix.Gettid()
		entered <- err
		for do := range ns.work {
			do()
		}
	}()
	t.Cleanup(func() {
		close(ns.work)
		<-done
	})
	if err := <-entered; errors.Is(err, unix.EPERM) {
		t.Skip("making a network namespace is not permitted: run this test as root (CAP_SYS_ADMIN and CAP_NET_ADMIN)")
	} else if err != nil {
		t.Skipf("the kernel makes no network namespace: %v", err)
	}
	return ns
}

// do runs f in the namespace. f must not end the test's goroutine.
func (ns *namespace) do(f func()) {
	done := make(chan struct{})
	ns.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// in runs f in the namespace and fails the test if f fails.
func in[T any](t *testing.T, ns *namespace, f func() (T, error)) T {
	t.Helper()
	var v T
	var err error
	ns.do(func() { v, err = f() })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// run runs a tool of the system there, with input, and returns its output.
func (ns *namespace) run(t *testing.T, input string, command ...string) (string, error) {
	t.Helper()
	var output bytes.Buffer
	var err error
	ns.do(func() {
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &output, &output
		err = cmd.Run()
	})
	return output.String(), err
}

func (ns *namespace) must(t *testing.T, input string, command ...string) string {
	t.Helper()
	output, err := ns.run(t, input, command...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, output)
	}
	return output
}

// tools skips the test, or fails it in CI, where a tool is missing.
func tools(t *testing.T, packages map[string]string) map[string]string {
	t.Helper()
	paths := map[string]string{}
	for tool, pkg := range packages {
		for _, dir := range []string{"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"} {
			if _, err := os.Stat(dir + tool); err == nil {
				paths[tool] = dir + tool
				break
			}
		}
		switch {
		case paths[tool] != "":
		case os.Getenv("CI") == "true":
			t.Fatalf("%s is missing: the package %s is needed; run test/install", tool, pkg)
		default:
			t.Skipf("%s is missing: the package %s is needed; run test/install", tool, pkg)
		}
	}
	return paths
}

// connect puts a pair of Ethernet ends between two namespaces.
func connect(t *testing.T, a, b *namespace) {
	t.Helper()
	output, err := a.run(t, "", "ip", "link", "add", podLink, "type", "veth", "peer", "name", siteLink, "netns", strconv.Itoa(b.thread))
	if err != nil {
		t.Skipf("the kernel makes no veth pair: %v: %s", err, strings.TrimSpace(output))
	}
}

// needNftables skips the test where the kernel lacks what any such rules need,
// so that a failure of the rules themselves is a failure of the test.
func needNftables(t *testing.T, ns *namespace) {
	t.Helper()
	const probe = `table inet probe { chain c { type filter hook output priority filter; meta skuid 0 reject with icmpx admin-prohibited; ct state established accept; }; }`
	if output, err := ns.run(t, probe, "nft", "-f", "-"); err != nil {
		t.Skipf("the kernel takes no nftables rules: %v: %s", err, strings.TrimSpace(output))
	}
	ns.must(t, "", "nft", "flush", "ruleset")
}

func command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	return cmd
}
