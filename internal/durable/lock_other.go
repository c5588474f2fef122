//go:build !unix || solaris || aix

package durable

import "os"

// TryLock takes no lock here; bbolt's own is the only one.
func TryLock(*os.File, bool) error { return nil }
