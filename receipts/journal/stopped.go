package journal

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/signet-egress/signet/internal/durable"
)

// SealStopped is Seal for the journal of a sidecar that does not run. It needs no
// key, since no record is added. Its errors are those of OpenReader, and
// *RollbackError.
func SealStopped(ctx context.Context, dir string, limits Limits) (err error) {
	if err := limits.complete(); err != nil {
		return err
	}
	s, c, err := openVerified(filepath.Join(dir, fileName), false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	chain := records{archive: c.archive, view: s.view}
	work := &sealing{
		records: chain, create: durable.CreateFrom, remove: durable.Remove,
		change: func(f change) error { return contain(func() error { return s.db.Update(f) }) },
	}
	if err := errors.Join(work.reconcile(ctx), work.resume()); err != nil {
		return err
	}
	for c.archive.last().Last < c.head.Seq-1 {
		if _, err := work.seal(ctx, c.head.Seq-1, limits.SealSize); err != nil {
			return err
		}
	}
	ack, err := acknowledged(ctx, dir, chain, c.head)
	if err != nil {
		return err
	}
	due := retention{limits: &limits, now: time.Now()}
	if ack != nil {
		due.acked = ack.Seq
	}
	if n := due.due(c.archive.list()); n > 0 {
		return work.prune(n)
	}
	return nil
}
