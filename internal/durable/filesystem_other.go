//go:build !linux

package durable

// Doubt says why a file system may not keep what is written in dir. Here it
// knows nothing.
func Doubt(string) string { return "" }
