package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s, err := Open(t.Context(), filepath.Join(t.TempDir(), "a ? file#.db"))
		if err != nil {
			t.Fatal(err)
		}
		s.Window = storetest.Window
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}

// What agents did is not for whoever has an account on the machine.
func TestFileIsItsOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "collector.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, end := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + end)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("%s is %s", info.Name(), info.Mode())
		}
	}
}

func TestFaults(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "collector.db"))
	if err != nil {
		t.Fatal(err)
	}
	storetest.Faults(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
