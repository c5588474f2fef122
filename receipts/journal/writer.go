package journal

import (
	"bytes"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/receipts"
)

// writer is the one goroutine that writes. It owns every field. What it holds
// in memory runs ahead of the disk within a commit; after one that failed, all
// of it is read again.
type writer struct {
	j      *Journal
	sign   *signer             // signs the next record
	known  map[string]*signer  // by kid: all that this process can sign with
	keys   []receipts.ChainKey // of the chain; the last one is sign's
	clock  *clock
	commit func(*bbolt.Tx) error // (*bbolt.Tx).Commit outside tests
	resume time.Duration
	alloc  allocator

	store    *store
	txid     int // of the newest transaction begun
	head     Head
	hops     *hopIndex
	intents  map[string]int64 // open intents and the room held for each
	reserve  *reserve
	pending  int64         // room that the group under way takes from the reserve
	rotating bool          // the group under way changes the key
	step     time.Duration // of the clock, not yet on record

	entries []entry // of the group under way; the buffers are used again
	spare   []*op   // the queue's other half
}

// entry is a record of the group under way.
type entry struct {
	record  receipts.Record
	sign    *signer
	core    []byte
	line    []byte
	hop     []byte // the trace's entry, for a receipt
	dropped int64  // seq of the trace's entry that falls away; 0 for none
}

// keepEntries is how many entries keep their buffers between groups.
const keepEntries = 256

func (w *writer) run() {
	defer close(w.j.done)
	for {
		group, closing := w.next()
		switch {
		case len(group) > 0:
			w.write(group)
		case closing:
			w.stop()
			return
		}
		clear(group)
		w.spare = group[:0]
	}
}

// next takes all that is queued. While the disk is full it looks now and then
// whether space has returned.
func (w *writer) next() (group []*op, closing bool) {
	for {
		w.j.mu.Lock()
		group, w.j.queue = w.j.queue, w.spare
		closing = w.j.closing
		w.j.mu.Unlock()
		if len(group) > 0 || closing {
			return group, closing
		}
		w.spare = group
		if !w.isFull() {
			<-w.j.wake
			continue
		}
		timer := time.NewTimer(w.resume)
		select {
		case <-w.j.wake:
		case <-timer.C:
			w.tryResume()
		}
		timer.Stop()
	}
}

// write makes a group durable, or settles its operations with the reason why
// not.
func (w *writer) write(group []*op) {
	for retried := false; ; retried = true {
		ops := w.admit(group)
		if w.hasFailed() {
			ops = w.refuseAll(ops)
		}
		if len(ops) == 0 {
			return
		}
		w.place(ops)
		signAll(w.entries)
		err := w.transact(ops)
		if err == nil {
			w.settle(ops)
			return
		}
		if group = w.afterFailure(ops, err, retried); len(group) == 0 {
			return
		}
	}
}

// place gives the group's records their places in the chain and their hashes,
// one after the other, since each names the one before.
func (w *writer) place(ops []*op) {
	w.entries = w.entries[:0]
	ts, step := w.clock.stamp()
	w.step += step
	if w.step != 0 {
		w.link(&receipts.Event{Event: receipts.EventClockStep, Clock: &receipts.ClockStep{StepMS: w.step.Milliseconds()}}, ts)
	}
	for _, o := range ops {
		if o.next != nil {
			o.record = w.keyChange(o.next)
		}
		if o.record != nil {
			w.link(o.record, ts)
		}
		if o.next != nil {
			w.changeKey(o)
		}
	}
}

func (w *writer) link(rec receipts.Record, ts time.Time) {
	e := w.nextEntry()
	e.record, e.sign = rec, w.sign
	h := rec.RecordHead()
	*h = receipts.Head{
		Chain: receipts.Chain{ID: w.head.Chain, Seq: w.head.Seq + 1, Prev: w.head.Hash},
		TS:    ts,
		KID:   w.sign.kid,
	}
	r, _ := rec.(*receipts.Receipt)
	if r != nil {
		r.Hop, r.PrevReceiptHash = w.hops.traces.Next(r.TraceID)
	}
	e.core = receipts.AppendCore(e.core[:0], rec)
	h.ReceiptHash = receipts.Hash(e.core)
	if r != nil {
		w.noteHop(e, r)
	}
	w.head = Head{Chain: w.head.Chain, Seq: h.Chain.Seq, Hash: h.ReceiptHash, TS: ts}
}

// noteHop has the commit store the receipt's place in its trace. Of a trace that
// has several receipts in the group only the newest place is stored.
func (w *writer) noteHop(e *entry, r *receipts.Receipt) {
	e.hop = appendHop(e.hop[:0], r)
	e.dropped = w.hops.put(r)
	if first := w.entries[0].record.RecordHead().Chain.Seq; e.dropped >= first {
		before := &w.entries[e.dropped-first]
		e.dropped, before.hop = before.dropped, before.hop[:0]
	}
}

func (w *writer) nextEntry() *entry {
	n := len(w.entries)
	if n == cap(w.entries) {
		w.entries = append(w.entries, entry{})
	}
	w.entries = w.entries[:n+1]
	e := &w.entries[n]
	e.dropped, e.hop = 0, e.hop[:0]
	return e
}

// transact commits the group in one transaction.
func (w *writer) transact(ops []*op) error {
	start := time.Now()
	var tx *bbolt.Tx
	err := contain(func() (err error) {
		if tx, err = w.store.db.Begin(true); err != nil {
			return fmt.Errorf("begin transaction: %w", err)
		}
		w.txid = tx.ID()
		if err := w.put(tx, ops); err != nil {
			_ = tx.Rollback() // the first error counts
			return fmt.Errorf("write to journal: %w", err)
		}
		return w.commit(tx)
	})
	if isPanic(err) {
		w.store.broken = isPanic(contain(tx.Rollback))
	}
	if err == nil {
		err = w.store.db.View(func(tx *bbolt.Tx) error {
			w.reserve.used = tx.Size()
			return nil
		})
	}
	w.observe(ops, time.Since(start), err)
	return err
}

func (w *writer) put(tx *bbolt.Tx, ops []*op) error {
	if err := w.putIntents(tx.Bucket(intentsBucket), ops); err != nil {
		return err
	}
	for _, o := range ops {
		if o.change != nil {
			if err := o.change(tx); err != nil {
				return err
			}
		}
	}
	if len(w.entries) == 0 {
		return nil
	}
	return w.putRecords(tx)
}

func (w *writer) putIntents(intents *bbolt.Bucket, ops []*op) error {
	intents.FillPercent = fill // ids ascend nearly, since they begin with the time
	c := intents.Cursor()
	for _, o := range ops {
		if o.closed != "" {
			if err := removeKey(c, []byte(o.closed)); err != nil {
				return err
			}
		}
		if o.kind == opBegin {
			if err := intents.Put([]byte(o.id), o.draft); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) putRecords(tx *bbolt.Tx) error {
	records, traces := tx.Bucket(recordsBucket), tx.Bucket(tracesBucket)
	records.FillPercent, traces.FillPercent = fill, fill
	c := traces.Cursor()
	for i := range w.entries {
		e := &w.entries[i]
		key := seqKey(e.record.RecordHead().Chain.Seq)
		if err := records.Put(key[:], e.line); err != nil {
			return err
		}
		if e.introduces() {
			if err := tx.Bucket(keysBucket).Put(key[:], e.line); err != nil {
				return err
			}
		}
		if len(e.hop) == 0 {
			continue
		}
		if err := traces.Put(key[:], e.hop); err != nil {
			return err
		}
		if e.dropped != 0 {
			old := seqKey(e.dropped)
			if err := removeKey(c, old[:]); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeKey deletes a key, if it is there. Bucket.Delete makes a cursor for each.
func removeKey(c *bbolt.Cursor, key []byte) error {
	if k, _ := c.Seek(key); !bytes.Equal(k, key) {
		return nil
	}
	return c.Delete()
}

// settle tells everybody that the group is durable.
func (w *writer) settle(ops []*op) {
	w.step = 0
	w.j.publish(w.head, w.keys, w.sign)
	w.j.checkpoints.reached(w.head.Seq)
	w.stored()
	for _, o := range ops {
		if o.closed != "" {
			w.j.open.Add(-1)
		}
		o.settle(nil)
	}
	w.forget()
}

// stored counts what the group has added to the database.
func (w *writer) stored() {
	added := int64(0)
	for i := range w.entries {
		added += int64(len(w.entries[i].line))
	}
	if w.j.unsealed.Add(added) >= w.j.sealer.limits.SealSize {
		w.j.sealer.rouse()
	}
	w.j.budget.watch()
}

// forget lets go of the group's records, and of buffers that a burst has made.
func (w *writer) forget() {
	if cap(w.entries) > keepEntries {
		w.entries = nil
	}
	for i := range w.entries {
		w.entries[i].record, w.entries[i].sign = nil, nil
	}
}

func (w *writer) observe(ops []*op, took time.Duration, err error) {
	if w.j.observer == nil {
		return
	}
	intents := 0
	for _, o := range ops {
		if o.kind == opBegin {
			intents++
		}
	}
	w.j.mu.Lock()
	pending := len(w.j.queue)
	w.j.mu.Unlock()
	w.j.observer.Committed(CommitStats{
		Took: took, Err: err, Intents: intents, Records: len(w.entries), Pending: pending, Open: len(w.intents), Bytes: w.reserve.size,
	})
}

// stop marks a clean stop, if it is one, and closes the file.
func (w *writer) stop() {
	if !w.hasFailed() && len(w.intents) == 0 {
		o := newOp(opEvent)
		o.own, o.record = true, &receipts.Event{Event: receipts.EventStop}
		w.write([]*op{o})
		w.j.closeErr = o.err
	}
	if !w.hasFailed() {
		w.j.err.Store(&UnavailableError{Path: w.j.path, Reason: "closed"})
	}
	w.j.storeMu.Lock()
	defer w.j.storeMu.Unlock()
	if err := w.store.close(); err != nil && w.j.closeErr == nil {
		w.j.closeErr = err
	}
	w.j.mu.Lock()
	defer w.j.mu.Unlock()
	close(w.j.changed)
}
