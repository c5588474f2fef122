package journal

import "fmt"

// admit decides what of a group goes into its commit, in order, and refuses the
// rest. What closes an intent always goes: its room was reserved when the
// intent began.
func (w *writer) admit(group []*op) []*op {
	w.pending, w.rotating = 0, false
	admitted := group[:0]
	for _, o := range group {
		if err := w.admitOne(o); err != nil {
			w.j.refuse(o, err)
			continue
		}
		admitted = append(admitted, o)
	}
	return admitted
}

func (w *writer) admitOne(o *op) error {
	o.closed = ""
	switch o.kind {
	case opBegin:
		return w.admitIntent(o)
	case opFinish:
		if _, open := w.intents[o.id]; open {
			w.closeIntent(o, o.id)
			return nil
		}
	case opEvent, opChange:
		if o.own {
			return nil
		}
	case opRotate:
		if err := w.admitKey(o.next); err != nil {
			return err
		}
	}
	return w.room(w.reserve.cost(unseenRecord))
}

func (w *writer) admitIntent(o *op) error {
	if _, open := w.intents[o.id]; open {
		return fmt.Errorf("begin %s: an intent of this id is open", o.id)
	}
	if err := w.j.budget.exceeded(0); err != nil {
		w.becomeFull(err)
		return w.j.Err()
	}
	cost := w.reserve.cost(len(o.draft))
	if err := w.room(cost); err != nil {
		return err
	}
	w.pending -= cost // held instead
	w.reserve.held += cost
	w.intents[o.id] = cost
	if _, open := w.intents[o.dissolve]; open {
		w.closeIntent(o, o.dissolve)
	}
	return nil
}

// closeIntent lets o's commit remove the intent id. The room that was held for
// it is used by this very commit.
func (w *writer) closeIntent(o *op, id string) {
	o.closed = id
	w.pending += w.intents[id]
	w.reserve.held -= w.intents[id]
	delete(w.intents, id)
}

// room takes room for a record or an intent that has none yet. While the disk
// is full the file is not grown here, see tryResume.
func (w *writer) room(cost int64) error {
	if !w.reserve.fits(w.pending + cost) {
		if w.isFull() {
			return w.j.Err()
		}
		if err := w.reserve.grow(w.pending + cost); err != nil {
			return w.cannotGrow(err)
		}
	}
	w.pending += cost
	return nil
}

func (w *writer) cannotGrow(err error) error {
	if isFull(err) {
		w.becomeFull(err)
	} else {
		w.becomeFailed(err)
	}
	return w.j.Err()
}
