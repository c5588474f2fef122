package journal

import (
	"errors"
	"fmt"
	"io/fs"
)

func (w *writer) isFull() bool {
	err := w.j.err.Load()
	return err != nil && err.Full
}

func (w *writer) hasFailed() bool {
	err := w.j.err.Load()
	return err != nil && !err.Full
}

// becomeFull stops new intents until space returns.
func (w *writer) becomeFull(cause error) {
	if w.isFull() {
		return
	}
	reason := "the disk is full: free space there or enlarge the volume; signet goes on by itself then"
	if _, budget := errors.AsType[*budgetError](cause); budget {
		reason = "its disk budget is used up: keep records for less long, or raise journal.hard_mark; signet goes on by itself when records are pruned"
	}
	w.j.err.Store(&UnavailableError{Path: w.j.path, Full: true, Err: cause, Reason: reason})
	w.j.logger.Error("journal: disk full, egress is denied", "path", w.j.path, "error", cause.Error(), "open_intents", len(w.intents))
}

// tryResume lets intents begin again if there is room for some.
func (w *writer) tryResume() {
	err := w.j.budget.exceeded(0)
	if err == nil {
		err = w.reserve.grow(chunk)
		if _, budget := errors.AsType[*budgetError](err); budget && w.reserve.fits(granule) {
			err = nil // it is the file that may not grow: what is in it will do
		}
	}
	switch {
	case err == nil:
		w.j.err.Store(nil)
		w.j.logger.Info("journal: space has returned, egress goes on", "path", w.j.path)
	case !isFull(err):
		w.becomeFailed(err)
	}
}

// becomeFailed is final: what an I/O error has left on the disk shows only when
// the file is read from the disk again, at the next start.
func (w *writer) becomeFailed(cause error) {
	w.j.err.Store(&UnavailableError{
		Path: w.j.path, Err: cause,
		Reason: "writing failed; egress is denied until signet is restarted, which checks the file",
	})
	w.j.logger.Error("journal: writing failed, egress is denied until a restart", "path", w.j.path, "error", cause.Error())
}

// afterFailure deals with a commit that failed. It returns what is to be tried
// once more: where a page could not be written because the disk is full, the
// receipts of open intents and the journal's own events, which have space in
// reserve. Everything else is refused.
func (w *writer) afterFailure(ops []*op, cause error, retried bool) (again []*op) {
	if !isFullWrite(cause) {
		w.becomeFailed(cause)
		return w.refuseAll(ops)
	}
	if err := w.reopen(); err != nil {
		w.becomeFailed(errors.Join(cause, err))
		return w.refuseAll(ops)
	}
	w.becomeFull(cause)
	again = ops[:0]
	for _, o := range ops {
		if !retried && (o.own || o.kind == opFinish && o.closed != "") {
			again = append(again, o)
			continue
		}
		w.j.refuse(o, w.j.Err())
	}
	return again
}

// isFullWrite tells a page that found no space from everything else. It does
// not hold for a failed sync, whatever its error is: pages that the system has
// given up then are gone, and look written.
func isFullWrite(err error) bool {
	pathErr, ok := errors.AsType[*fs.PathError](err)
	return ok && pathErr.Op == "write" && isFull(pathErr)
}

func (w *writer) refuseAll(ops []*op) []*op {
	for _, o := range ops {
		w.j.refuse(o, w.j.Err())
	}
	return nil
}

// reopen reads the file again after a failed commit, which must not be in it.
func (w *writer) reopen() error {
	w.j.storeMu.Lock()
	defer w.j.storeMu.Unlock()
	if err := w.store.close(); err != nil {
		return err
	}
	s, c, err := openVerified(w.j.path, false)
	if err != nil {
		return fmt.Errorf("open the journal again: %w", err)
	}
	w.j.store = s
	if err := w.adopt(s, c); err != nil && !isFull(err) {
		return err
	}
	if c.txid >= w.txid {
		return errors.New("the commit is in the file in spite of its error")
	}
	return nil
}
