package testkit

import (
	"os/exec"
	"strings"
	"testing"
)

func TestBuildSignet(t *testing.T) {
	binary := BuildSignet(t)
	if again := BuildSignet(t); again != binary {
		t.Errorf("a second build is at %s, not %s", again, binary)
	}
	p := Start(t, exec.CommandContext(t.Context(), binary, "--version"))
	if err := p.Wait(); err != nil {
		t.Fatalf("signet --version: %v", err)
	}
	if !strings.HasPrefix(p.Output(), "signet version ") {
		t.Errorf("signet --version printed %q", p.Output())
	}
}
