package durable

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Allocate gives the size bytes of f from off on blocks on the disk, holes
// included, and makes f at least that long, so that writing there cannot fail
// for want of space. What f holds stays. The error is ENOSPC or EDQUOT where
// there is no room. It does not sync.
func Allocate(f *os.File, off, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, off, size)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return zeros(f, off+size)
		default:
			return fmt.Errorf("allocate %d bytes of %s: %w", size, f.Name(), err)
		}
	}
}
