package journal

import (
	"errors"
	"fmt"
)

func (w *writer) isFull() bool {
	err := w.j.err.Load()
	return err != nil && err.Full
}

// becomeFull stops new intents until space returns.
func (w *writer) becomeFull(cause error) {
	if w.isFull() {
		return
	}
	w.j.err.Store(&UnavailableError{
		Path: w.j.path, Full: true, Err: cause,
		Reason: "the disk is full: free space there or enlarge the volume; signet goes on by itself then",
	})
	w.j.logger.Error("journal: disk full, egress is denied", "path", w.j.path, "error", cause.Error(), "open_intents", len(w.intents))
}

// tryResume lets intents begin again if there is room for some.
func (w *writer) tryResume() {
	err := w.reserve.grow(chunk)
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

// afterFailure deals with a commit that failed, and returns what is to be tried
// once more: the receipts of open intents and the journal's own events when the
// disk was full, which have space in reserve. Everything else is refused. It can turn out that the commit
// reached the disk in spite of its error; then it counts.
func (w *writer) afterFailure(ops []*op, cause error, retried bool) []*op {
	if !isFull(cause) {
		w.becomeFailed(cause)
		return w.refuseAll(ops)
	}
	applied, err := w.reopen()
	if err != nil {
		w.becomeFailed(errors.Join(cause, err))
		return w.refuseAll(ops)
	}
	w.becomeFull(cause)
	if applied {
		w.settle(ops)
		return nil
	}
	again := ops[:0]
	for _, o := range ops {
		if !retried && (o.own || o.kind == opFinish && o.closed != "") {
			again = append(again, o)
			continue
		}
		w.j.refuse(o, w.j.Err())
	}
	return again
}

func (w *writer) refuseAll(ops []*op) []*op {
	for _, o := range ops {
		w.j.refuse(o, w.j.Err())
	}
	return nil
}

// reopen reads the file again after a failed commit, and tells whether the
// commit is in it; if so, it is durable when reopen returns.
func (w *writer) reopen() (applied bool, err error) {
	w.j.storeMu.Lock()
	defer w.j.storeMu.Unlock()
	if err := w.store.close(); err != nil {
		return false, err
	}
	s, c, err := openVerified(w.j.path, w.sign)
	if err != nil {
		return false, fmt.Errorf("open the journal again: %w", err)
	}
	w.j.store = s
	if err := w.adopt(s, c); err != nil && !isFull(err) {
		return false, err
	}
	if applied = c.txid >= w.txid; applied {
		err = s.db.Sync()
	}
	return applied, err
}
