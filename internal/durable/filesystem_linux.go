package durable

import "golang.org/x/sys/unix"

// Doubt says why a file system may not keep what is written in dir, or is ""
// where nothing speaks against it.
func Doubt(dir string) string {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return ""
	}
	switch int64(fs.Type) { //nolint:unconvert // an int32 on some machines
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC:
		return "a network file system: its locks, mapped files and syncs are not those of a disk"
	case unix.FUSE_SUPER_MAGIC:
		return "a FUSE file system: whether its locks, mapped files and syncs are those of a disk is unknown"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "the writable layer of a container, which goes when the container is replaced: mount a volume"
	}
	return ""
}
