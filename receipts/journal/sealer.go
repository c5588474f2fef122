package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/receipts"
)

// sealer is the goroutine that seals and prunes. It shares nothing with the
// writer but the queue: files are written beside it, and what the database
// forgets goes through it in small pieces.
type sealer struct {
	j       *Journal
	sealing *sealing
	limits  *Limits
	every   time.Duration
	age     func() time.Time // wall time that no step of the clock changes

	wake chan struct{}   // holds a token when there is enough to seal
	now  chan chan error // requests to seal all that there is
	stop context.CancelFunc
	done chan struct{} // closed when it has ended

	troubled bool // the last attempt failed, and the log has it
}

// sealEvery is how often ages are looked at, and what failed is tried again.
const sealEvery = time.Minute

// steady is wall time as it was at the start, and from there on as long as the
// monotonic clock says: a clock that is set wrong while it runs makes no
// evidence old.
func steady(clock func() (time.Time, time.Duration)) func() time.Time {
	wall, start := clock()
	return func() time.Time {
		_, mono := clock()
		return wall.Add(mono - start)
	}
}

func (s *sealer) rouse() {
	select {
	case s.wake <- struct{}{}:
	default: // a token is there already
	}
}

func (s *sealer) run(ctx context.Context) {
	defer close(s.done)
	timer := time.NewTicker(s.every)
	defer timer.Stop()
	s.tell(s.tidy(ctx))
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			s.tell(s.tidy(ctx))
		case <-timer.C:
			s.tell(s.tidy(ctx))
		case answer := <-s.now:
			err := s.all(ctx)
			s.tell(err)
			answer <- err
		}
	}
}

// tell logs trouble once, and its end.
func (s *sealer) tell(err error) {
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil && !s.troubled:
		s.troubled = true
		s.j.logger.Error("journal: sealing failed and is tried again; the records stay in the database", "path", s.j.path, "error", err.Error())
	case err == nil && s.troubled:
		s.troubled = false
		s.j.logger.Info("journal: sealing goes on", "path", s.j.path)
	}
}

// tidy is one round: what was interrupted, what is enough or old enough to be
// sealed, and what may go.
func (s *sealer) tidy(ctx context.Context) error {
	if err := s.sealing.resume(); err != nil {
		return err
	}
	for s.j.unsealed.Load() >= s.limits.SealSize {
		if done, err := s.one(ctx); done || err != nil {
			return err
		}
	}
	oldest, err := s.oldest()
	if err != nil {
		return err
	}
	if s.age().Sub(oldest) >= s.limits.SealAge {
		if _, err := s.one(ctx); err != nil {
			return err
		}
	}
	return s.prune()
}

// all seals everything but the head, which stays in the database.
func (s *sealer) all(ctx context.Context) error {
	if err := s.sealing.resume(); err != nil {
		return err
	}
	for {
		if done, err := s.one(ctx); done || err != nil {
			return errors.Join(err, s.prune())
		}
	}
}

// one makes one file; done says that there was nothing to put into it.
func (s *sealer) one(ctx context.Context) (done bool, err error) {
	to := s.j.Head().Seq - 1
	if to <= s.sealing.archive.last().Last {
		return true, nil
	}
	start := time.Now()
	raw, err := s.sealing.seal(ctx, to, s.limits.SealSize)
	s.j.unsealed.Add(-raw)
	if s.j.observer != nil && !errors.Is(err, context.Canceled) {
		s.j.observer.Sealed(time.Since(start), err)
	}
	return false, err
}

// prune removes what retention no longer asks for.
func (s *sealer) prune() error {
	due := retention{limits: s.limits, acked: s.j.Acked().Seq, now: s.age()}
	n := due.due(s.sealing.archive.list())
	if n == 0 {
		return nil
	}
	err := s.sealing.prune(n)
	s.j.budget.watch()
	if err != nil {
		return err
	}
	s.j.logger.Info("journal: records pruned", "path", s.j.path, "through", s.sealing.archive.gone().Last)
	return nil
}

// oldest is the time of the oldest record in the database.
func (s *sealer) oldest() (ts time.Time, err error) {
	err = s.sealing.view(func(tx *bbolt.Tx) error {
		_, line := tx.Bucket(recordsBucket).Cursor().First()
		rec, err := receipts.Decode(line)
		if err != nil {
			return fmt.Errorf("oldest record: %w", err)
		}
		ts = rec.RecordHead().TS
		return nil
	})
	return ts, err
}

// Seal moves all records but the newest into sealed files now, and removes those
// that retention no longer asks for.
func (j *Journal) Seal(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case j.sealer.now <- answer:
	case <-j.sealer.done:
		return &UnavailableError{Path: j.path, Reason: "closed"}
	case <-ctx.Done():
		return fmt.Errorf("seal journal: %w", ctx.Err())
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("seal journal: %w", ctx.Err())
	}
}

// apply makes a change to the database through the writer.
func (j *Journal) apply(f change) error {
	o := newOp(opChange)
	o.own, o.change = true, f
	j.enqueue(o)
	return o.Wait()
}
