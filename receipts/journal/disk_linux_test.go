package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFailingFile has the real thing: the file's descriptor stops taking
// writes.
func TestFailingFile(t *testing.T) {
	dir := t.TempDir()
	j := open(t, options(dir))
	r := begin(t, j, draft("t"))
	readOnly, err := os.Open(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	if err := syscall.Dup3(int(readOnly.Fd()), int(j.store.file.Fd()), syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, j.Finish(forward(r)).Wait(), false)
	wantUnavailable(t, j.Err(), false)
	closeJournal(t, j)
	restart(t, dir, r.ReceiptID, false)
}

// smallFileSystem mounts a file system of its own for the test.
func smallFileSystem(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("a full disk needs the right to mount a file system (run as root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}
