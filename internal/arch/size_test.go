package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// largest is the size in bytes that nothing of the project needs to pass: what
// does is a program or a profile that slipped into a commit, and every clone
// carries it for ever.
const largest = 1 << 20

func TestNothingBuiltIsCommitted(t *testing.T) {
	const root = "../.."
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z")
	cmd.Dir = root
	files, err := cmd.Output()
	if err != nil {
		t.Skipf("git cannot list the files, as where they are no checkout: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		if info, err := os.Stat(filepath.Join(root, name)); err == nil && info.Size() > largest { // else deleted, and not committed yet
			t.Errorf("%s has %d bytes; %d are the most that a file of the project has", name, info.Size(), largest)
		}
	}
}
