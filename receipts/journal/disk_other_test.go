//go:build !linux

package journal

import "testing"

func smallFileSystem(t *testing.T, _ int) string {
	t.Helper()
	t.Skip("a full disk needs a file system of a few megabytes, which this test makes on Linux only")
	return ""
}
