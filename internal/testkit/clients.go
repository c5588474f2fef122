package testkit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit/peers"
)

// Client runs clients of other makes: those that Debian's packages install, not
// whatever the PATH finds first. A missing one skips the test, or fails it where
// CI is set. The zero value is ready.
type Client struct {
	// Env is added to an environment without any proxy or CA variable.
	Env []string
	// Stdin is what the client reads; nothing when empty.
	Stdin string
}

// Result is what a client that has ended left behind.
type Result struct {
	Stdout, Stderr string
	ExitCode       int
}

// Curl runs curl with a zero Client. Its configuration file is not read.
func Curl(t testing.TB, args ...string) Result { t.Helper(); return Client{}.Curl(t, args...) }

// Python runs a Python 3 script that may import requests and httpx.
func Python(t testing.TB, script string, args ...string) Result {
	t.Helper()
	return Client{}.Python(t, script, args...)
}

// Node runs a CommonJS script that may require undici.
func Node(t testing.TB, script string, args ...string) Result {
	t.Helper()
	return Client{}.Node(t, script, args...)
}

// Curl runs curl; its exit codes are those of curl(1).
func (c Client) Curl(t testing.TB, args ...string) Result {
	t.Helper()
	return c.run(t, c.CurlCommand(t, args...))
}

// Python runs script, whose arguments are sys.argv[1:].
func (c Client) Python(t testing.TB, script string, args ...string) Result {
	t.Helper()
	return c.run(t, c.PythonCommand(t, script, args...))
}

// Node runs script, whose arguments are process.argv.slice(2).
func (c Client) Node(t testing.TB, script string, args ...string) Result {
	t.Helper()
	return c.run(t, c.NodeCommand(t, script, args...))
}

// CurlCommand is for a curl that is watched while it runs: see Start.
func (c Client) CurlCommand(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	require(t, "curl", "/usr/bin/curl", "--version")
	return c.command(t, "/usr/bin/curl", append([]string{"--disable", "--silent", "--show-error"}, args...)...)
}

// PythonCommand is for a script that is watched while it runs: see Start.
func (c Client) PythonCommand(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	const python = "/usr/bin/python3"
	require(t, "python3-requests", python, "-I", "-c", "import requests")
	require(t, "python3-httpx", python, "-I", "-c", "import httpx")
	file := scriptFile(t, "client.py", script)
	// -u: a test that watches the output sees each line when it is printed.
	return c.command(t, python, append([]string{"-u", "-I", file}, args...)...)
}

// PythonFile runs a script of the project's with the packages of Debian's pkg,
// which it imports as module.
func PythonFile(t testing.TB, pkg, module, file string, args ...string) Result {
	t.Helper()
	const python = "/usr/bin/python3"
	require(t, pkg, python, "-I", "-c", "import "+module)
	return Client{}.run(t, Client{}.command(t, python, append([]string{"-I", file}, args...)...))
}

// NodeCommand is for a script that is watched while it runs: see Start.
func (c Client) NodeCommand(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	const node = "/usr/bin/node"
	require(t, "nodejs", node, "--version")
	require(t, "node-undici", node, "-e", "require('undici')")
	return c.command(t, node, append([]string{scriptFile(t, "client.cjs", script)}, args...)...)
}

func scriptFile(t testing.TB, name, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// require tries the client, since a package that is there can still be unusable.
func require(t testing.TB, pkg, name string, args ...string) {
	t.Helper()
	probe := Client{}.command(t, name, args...)
	output, err := probe.CombinedOutput()
	if err == nil {
		return
	}
	const format = "the package %s is needed: run test/install (%v: %s)"
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, pkg, err, bytes.TrimSpace(output))
	}
	t.Skipf(format, pkg, err, bytes.TrimSpace(output))
}

func (c Client) command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
	// Debian keeps Node's modules where only its own build of node looks.
	cmd.Env = append(cleanEnvironment(), "NODE_PATH=/usr/share/nodejs")
	cmd.Env = append(cmd.Env, c.Env...)
	if c.Stdin != "" {
		cmd.Stdin = strings.NewReader(c.Stdin)
	}
	return cmd
}

// cleanEnvironment is the test's own without what makes clients use a proxy or
// trust a certificate.
func cleanEnvironment() []string {
	steering := map[string]bool{
		"HTTP_PROXY": true, "HTTPS_PROXY": true, "ALL_PROXY": true, "NO_PROXY": true,
		"SSL_CERT_FILE": true, "SSL_CERT_DIR": true, "CURL_CA_BUNDLE": true, "REQUESTS_CA_BUNDLE": true,
		"NODE_EXTRA_CA_CERTS": true, "NODE_USE_ENV_PROXY": true, "NODE_OPTIONS": true, "NODE_PATH": true,
	}
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !steering[strings.ToUpper(name)] {
			env = append(env, entry)
		}
	}
	return env
}

func (c Client) run(t testing.TB, cmd *exec.Cmd) Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", cmd.Path, err)
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), ExitCode: cmd.ProcessState.ExitCode()}
}

// Start runs cmd in a process group that is killed at the test's end. When the
// test has failed by then, what the process wrote is logged.
func Start(t testing.TB, cmd *exec.Cmd) *peers.Process {
	t.Helper()
	p, err := peers.StartProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", cmd.Path, p.Output())
		}
	})
	return p
}
