package lifecycle

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

func TestBoundMemory(t *testing.T) {
	none := int64(math.MaxInt64)
	for name, c := range map[string]struct {
		cgroup memlimit.Provider
		env    string // GOMEMLIMIT
		limit  int64
		said   string // in the log; "" for nothing
	}{
		"a limit":             {memlimit.Limit(100 << 20), "", 90 << 20, "bytes=94371840"},
		"no limit":            {func() (uint64, error) { return 0, memlimit.ErrNoLimit }, "", none, ""},
		"no cgroup":           {func() (uint64, error) { return 0, memlimit.ErrNoCgroup }, "", none, ""},
		"unreadable":          {func() (uint64, error) { return 0, errors.New("broken") }, "", none, "broken"},
		"set by the operator": {memlimit.Limit(100 << 20), "1GiB", none, ""}, // by the runtime, at the start of the process
	} {
		t.Run(name, func(t *testing.T) {
			before := debug.SetMemoryLimit(math.MaxInt64)
			defer debug.SetMemoryLimit(before)
			t.Setenv("GOMEMLIMIT", c.env)
			if c.env == "" {
				if err := os.Unsetenv("GOMEMLIMIT"); err != nil {
					t.Fatal(err)
				}
			}
			var log bytes.Buffer
			boundMemory(slog.New(slog.NewTextHandler(&log, nil)), c.cgroup)
			if limit := debug.SetMemoryLimit(-1); limit != c.limit {
				t.Errorf("limit %d, want %d", limit, c.limit)
			}
			if said := log.String(); !strings.Contains(said, c.said) || (c.said == "") != (said == "") {
				t.Errorf("log %q", said)
			}
		})
	}
}
