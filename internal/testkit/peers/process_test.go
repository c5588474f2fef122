package peers

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := StartProcess(exec.CommandContext(t.Context(), "/bin/sh", "-c", script))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestProcessLine(t *testing.T) {
	p := shell(t, "echo first; echo second >&2; exec cat /dev/zero >/dev/null")
	line, err := p.Line(t.Context(), func(s string) bool { return strings.HasPrefix(s, "sec") })
	if err != nil || line != "second" {
		t.Fatalf("Line: %q, %v", line, err)
	}
	if m, err := MemoryOf(p.PID()); err != nil || m.Resident <= 0 || m.Peak < m.Resident {
		t.Errorf("MemoryOf: %+v, %v", m, err)
	}
	p.Kill()
	if _, err := p.Line(t.Context(), func(s string) bool { return s == "third" }); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("a line that never came: %v", err)
	}
	if p.Output() != "first\nsecond" {
		t.Errorf("output %q", p.Output())
	}
}

func TestKillEndsTheGroup(t *testing.T) {
	p := shell(t, "cat /dev/zero >/dev/null & echo started; wait")
	if _, err := p.Line(t.Context(), func(s string) bool { return s == "started" }); err != nil {
		t.Fatal(err)
	}
	p.Kill() // returns only when nobody holds the output any more, the child neither
	if p.Wait() == nil {
		t.Error("a killed process has exit status 0")
	}
}

func TestReady(t *testing.T) {
	u, err := StartUpstream(UpstreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	lasting := shell(t, "exec cat /dev/zero >/dev/null")
	if err := lasting.Ready(t.Context(), u.URL("", "/small")); err != nil {
		t.Error(err)
	}
	if err := lasting.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if lasting.Wait() == nil {
		t.Error("a terminated process has exit status 0")
	}

	ended := shell(t, "echo cannot listen; exit 2")
	err = ended.Ready(t.Context(), u.URL("", "/status/503"))
	if err == nil || !strings.Contains(err.Error(), "exit status 2") || !strings.Contains(err.Error(), "cannot listen") {
		t.Errorf("Ready of a process that ended: %v", err)
	}
}
