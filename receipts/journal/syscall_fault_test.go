package journal

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

var syscallFaults = flag.Int("journal.faults", 40, "how many faults of system calls TestSystemCallFaults injects; 0 for all")

// syscallFault is what strace(1) does to the nth call of a kind in each thread.
type syscallFault struct {
	call string
	how  string // error=… or signal=…
	nth  int
}

func (f syscallFault) String() string { return fmt.Sprintf("%s:%s:when=%d", f.call, f.how, f.nth) }

// TestSystemCallFaults runs the scenario of TestWriteLog with one system call
// failing, or killing the process as it is made: any call that bbolt, the archive
// or the files beside it make, and whatever the process does then. What is left
// opens, verifies and has every receipt that was acknowledged.
func TestSystemCallFaults(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("system calls are made to fail by strace, which is not installed")
	}
	faults := everyFault()
	if n := *syscallFaults; n > 0 {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(faults), func(i, k int) { faults[i], faults[k] = faults[k], faults[i] })
		faults = faults[:min(n, len(faults))]
	}
	hit, acknowledged := 0, 0
	for _, fault := range faults {
		dir := t.TempDir()
		said, failed := scenarioWith(t, strace, fault, dir)
		if failed {
			hit++
		}
		acknowledged += len(said)
		wantAcknowledged(t, dir, said)
		if t.Failed() {
			t.Fatalf("with %s", fault)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d faults, %d of which ended the process; %d receipts acknowledged, none lost", len(faults), hit, acknowledged)
	if hit == 0 {
		t.Error("no fault had any effect")
	}
}

// everyFault is each call that the scenario makes, by how often a thread makes it
// at most, and each way in which it fails.
func everyFault() []syscallFault {
	var all []syscallFault
	for call, most := range map[string]int{
		"pwrite64": 30, "fdatasync": 30, "fsync": 20, "write": 12, "fallocate": 4, "ftruncate": 4, "openat": 30,
		"linkat": 4, "renameat": 6, "unlinkat": 6,
	} {
		for _, how := range []string{"error=EIO", "error=ENOSPC", "signal=KILL"} {
			for nth := range most {
				all = append(all, syscallFault{call, how, nth + 1})
			}
		}
	}
	return all
}

// scenarioWith returns what the process has said that it acknowledged, and whether
// it failed.
func scenarioWith(t *testing.T, strace string, fault syscallFault, dir string) (said []string, failed bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace="+fault.call, "-e", "inject="+fault.String(), exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), writeLogEnv+"="+dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	if strings.Contains(stderr.String(), "ptrace") {
		t.Skipf("system calls are made to fail by strace, which may not trace here: %s", stderr.String())
	}
	for line := range strings.Lines(stdout.String()) {
		if strings.HasPrefix(line, "F ") && strings.HasSuffix(line, "\n") {
			said = append(said, strings.TrimSpace(line))
		}
	}
	return said, err != nil
}
