package testkit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Each binary is built once a test process; the tool's own cache makes a second
// process's build a check that nothing has changed.
var (
	builtSignet    = sync.OnceValues(func() (string, error) { return build("signet") })
	builtCollector = sync.OnceValues(func() (string, error) { return build("signet-collector") })
)

// BuildSignet is the path of the signet binary as users get it: without cgo and
// without the race detector. It lives under .cache of the checkout, since a
// directory that outlives one test has no test to remove it.
func BuildSignet(t testing.TB) string {
	t.Helper()
	return path(t, builtSignet)
}

// BuildCollector is likewise the path of signet-collector.
func BuildCollector(t testing.TB) string {
	t.Helper()
	return path(t, builtCollector)
}

func path(t testing.TB, built func() (string, error)) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func build(name string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, ".cache", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("build %s for tests: %w", name, err)
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()

	binary := filepath.Join(dir, name)
	cmd := exec.CommandContext(context.Background(), "go", "build", "-race=false", "-o", binary, "./cmd/"+name)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s for tests: %w\n%s", name, err, output)
	}
	return binary, nil
}

// lock keeps two test processes from writing the binary at once.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("build signet for tests: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("build signet for tests: lock %s: %w", path, err)
	}
	return func() { _ = file.Close() }, nil
}

func moduleRoot() (string, error) {
	output, err := exec.CommandContext(context.Background(), "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(output))), nil
}
