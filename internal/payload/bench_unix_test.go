//go:build unix

package payload

import (
	"syscall"
	"testing"
	"time"
)

// processor is the time that all threads of this process have had on a core,
// which others on the machine do not lengthen.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
