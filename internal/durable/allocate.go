package durable

import (
	"fmt"
	"os"
)

// zeros writes zero bytes from the end of f to end. It is how blocks are had
// where the file system knows no fallocate; a copy-on-write file system still
// promises nothing by it.
func zeros(f *os.File, end int64) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("allocate: %w", err)
	}
	block := make([]byte, 1<<20)
	for off := info.Size(); off < end; off += int64(len(block)) {
		if _, err := f.WriteAt(block[:min(int64(len(block)), end-off)], off); err != nil {
			return fmt.Errorf("allocate: %w", err)
		}
	}
	return nil
}
