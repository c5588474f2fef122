//go:build unix

package durable

import (
	"os"
	"syscall"
	"testing"
)

// blocks is how many bytes of f have blocks on the disk.
func blocks(t *testing.T, f *os.File) (n int64, ok bool) {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return stat.Blocks * 512, true
}
