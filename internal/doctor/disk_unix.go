//go:build linux || darwin || freebsd

package doctor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Below the first a journal keeps no room to grow; below the second it fills
// within days.
const (
	diskRed    = 128 << 20
	diskYellow = 1 << 30
)

// disk is the free space of the file system that dir is on.
func disk(dir string) Check {
	c := Check{Group: "disk", Name: dir, Status: Green}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		c.Status, c.Detail, c.Fix = Red, "cannot be looked at: "+err.Error(), "name Signet's data directory with --data, where it is mounted"
		return c
	}
	free := fs.Bavail * uint64(fs.Bsize)
	c.Detail = fmt.Sprintf("%d MiB free", free>>20)
	switch {
	case free < diskRed:
		c.Status = Red
	case free < diskYellow:
		c.Status = Yellow
	}
	if c.Status != Green {
		c.Fix = "make room: a journal that cannot be written denies all egress"
	}
	return c
}
