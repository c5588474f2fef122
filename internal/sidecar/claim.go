package sidecar

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/receipts/journal"
)

// Claim makes dir, if absent, and takes it for a sidecar of this process, before
// anything is written there. It is for who chooses among directories: the
// *journal.LockedError says that another process has this one. The end of the
// process releases it too, however it ends.
func Claim(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "claim"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("claiming the data directory: %w", err)
	}
	if err := durable.TryLock(f, true); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, durable.ErrLocked) {
			return nil, &journal.LockedError{Dir: dir}
		}
		return nil, fmt.Errorf("claiming the data directory %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil
}
