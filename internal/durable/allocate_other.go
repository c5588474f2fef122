//go:build !linux

package durable

import "os"

// Allocate gives f blocks on the disk from its end to off+size, so that writing
// there does not fail for want of space. It does not fill holes, and does not
// sync.
func Allocate(f *os.File, off, size int64) error { return zeros(f, off+size) }
