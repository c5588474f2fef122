package lifecycle

import (
	"errors"
	"log/slog"
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryShare is the part of its cgroup's memory that a process may fill before
// the garbage collector works harder. The rest is for what Go does not count: the
// journal's mapped pages, and sockets.
const memoryShare = 0.9

// BoundMemory has the garbage collector keep the process below the memory limit of
// its cgroup, at which the kernel would end it. GOMEMLIMIT in the environment goes
// first. It is for main: the limit is the whole process's.
func BoundMemory(log *slog.Logger) { boundMemory(log, memlimit.FromCgroup) }

func boundMemory(log *slog.Logger, cgroup memlimit.Provider) {
	limit, err := memlimit.Set(memlimit.WithRatio(memoryShare), memlimit.WithProvider(cgroup))
	switch {
	case errors.Is(err, memlimit.ErrNoCgroup), err == nil && limit == math.MaxInt64:
	case err != nil:
		log.Warn("the cgroup's memory limit cannot be read; GOMEMLIMIT sets one", "error", err)
	default:
		log.Info("memory limit", "bytes", limit)
	}
}
