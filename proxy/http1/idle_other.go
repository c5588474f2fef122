//go:build !unix

package http1

import "syscall"

// quiet cannot be told here.
func quiet(syscall.Conn) bool { return true }
