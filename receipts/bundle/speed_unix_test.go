//go:build unix

package bundle

import (
	"syscall"
	"testing"
	"time"
)

// processor is the time that all threads of this process have had on a core.
func processor(t *testing.T) clock {
	t.Helper()
	return func() time.Duration {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			t.Fatal(err)
		}
		return time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
}

// The ratios of BenchmarkSpeed in a small form. They are taken by the time on the
// cores, so that others on the machine do not count; all of the work is spread
// over the cores, and the largest part of it, signatures, evenly.
func TestSpeed(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes all of it slow, and not alike")
	}
	s := measure(t, 4000, 3, processor(t))
	t.Logf("a second of a core: %.0f raw signatures, %.0f records verified, %.0f exported, %.0f exported as cores", s.raw, s.verify, s.export, s.core)
	if s.verify < 0.6*s.raw {
		t.Errorf("verify is at %.0f %% of raw signature verification, below 60 %%", 100*s.verify/s.raw)
	}
	if s.export < 5*s.verify || s.core < 5*s.verify {
		t.Errorf("export costs a core 1/%.1f and 1/%.1f of what verify does; it should be 1/5", s.export/s.verify, s.core/s.verify)
	}
}
