package receipts

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Verifier checks the records of one chain as they come, in order of seq. It
// needs no network, and memory that does not grow with the chain. It is not
// safe for concurrent use.
//
// Each record must be in canonical form, have the hash, the detail digest and
// the signature that it claims, follow the record before without a gap, and
// link its trace. That says nothing of records cut off the end, which only an
// anchor outside of the chain can show.
type Verifier struct {
	pinned *KeySet // nil: trust the genesis
	keys   chainKeys
	lastTS time.Time
	traces *Traces
	ids    recentIDs
	result Result
	err    error
	buf    []byte

	observe func(Record) // nil: nobody
}

// Result is what a Verifier found of a chain that is good so far.
type Result struct {
	ChainID      string
	Records      int64  // of all types
	Receipts     int64  // of type signet.receipt/1
	First, Last  int64  // seq
	Head         string // receipt_hash of the last record
	TrustedKID   string // of the key that the first record is signed with
	Pinned       bool   // that key is in the key set; false: it was taken on trust from the genesis
	KID          string // of the key that signs from here on
	CleanStop    bool   // the last record is a clean stop
	Withheld     int64  // receipts without their detail
	Recoveries   int64  // gap events by which an operator had the chain go on after a loss
	Lost         int64  // records missing before such events, which say so
	HopsUnproved int64  // first hops of a trace seen in a range that starts after the genesis
}

// NewVerifier returns a Verifier that trusts the keys given and those that they
// introduce by a key change. With nil it takes the key of the genesis on trust,
// which proves that nothing was changed since, but not by whom it was written.
func NewVerifier(keys *KeySet) *Verifier {
	return &Verifier{pinned: keys, traces: NewTraces(), ids: newRecentIDs(receiptIDWindow)}
}

// Add verifies the next record, one line without the newline. The error is a
// *VerifyError; the first is final.
func (v *Verifier) Add(line []byte) error {
	if v.err != nil {
		return v.err
	}
	var c checked
	c, v.buf = check(line, v.currentKey(), v.buf)
	return v.take(&c)
}

// Observe has fn called with each good record, in order.
func (v *Verifier) Observe(fn func(Record)) { v.observe = fn }

// Result is what was found, or the error of the first bad record, or
// ErrNoRecords.
func (v *Verifier) Result() (Result, error) {
	if v.err == nil && v.result.Records == 0 {
		return Result{}, ErrNoRecords
	}
	return v.result, v.err
}

// Records is how many good records there have been.
func (v *Verifier) Records() int64 { return v.result.Records }

// Keys are the keys that the good records are signed with, in order; the last
// one signs from there on. In records that start after the genesis the first
// key's validity begins with them.
func (v *Verifier) Keys() []ChainKey { return slices.Clone(v.keys) }

// currentKey is the key that the next record should be signed with, or nil
// before the first.
func (v *Verifier) currentKey() *ChainKey {
	if len(v.keys) == 0 {
		return nil
	}
	key := *v.keys.current()
	return &key
}

// take goes on with a record that was checked by itself.
func (v *Verifier) take(c *checked) error {
	if failed := v.follow(c); failed != nil {
		failed.Record = v.result.Records + 1
		v.err = failed
		return v.err
	}
	v.note(c.record)
	if v.observe != nil {
		v.observe(c.record)
	}
	return nil
}

// follow holds a record against those before.
func (v *Verifier) follow(c *checked) *VerifyError {
	if c.failed != nil {
		if v.result.Records > 0 && c.failed.Cause != CauseDetail {
			c.failed.Seq = v.result.Last + 1
		}
		return c.failed
	}
	h := c.record.RecordHead()
	if v.result.Records == 0 {
		v.result.ChainID, v.result.First = h.Chain.ID, h.Chain.Seq
	}
	for _, check := range []func(*checked) (Cause, error){
		v.checkPlace, v.checkKey, v.checkSignature, v.checkTime, v.checkReceipt, v.checkKeyChange,
	} {
		if cause, err := check(c); err != nil {
			return &VerifyError{Seq: h.Chain.Seq, Cause: cause, Err: err}
		}
	}
	return nil
}

// note takes a good record into the state that the next is held against.
func (v *Verifier) note(r Record) {
	h := r.RecordHead()
	v.result.Records++
	v.result.Last, v.result.Head = h.Chain.Seq, h.ReceiptHash
	v.lastTS = h.TS
	v.result.CleanStop = false
	switch r := r.(type) {
	case *Receipt:
		v.result.Receipts++
		if r.Detail == nil {
			v.result.Withheld++
		}
		v.ids.add(r.ReceiptID)
		v.traces.Put(r.TraceID, r.Hop, h.ReceiptHash, h.Chain.Seq)
	case *Event:
		v.result.CleanStop = r.Event == EventStop
		v.noteGap(r)
	}
	v.result.KID = v.keys.current().KID
}

// noteGap forgets the traces where an operator had the chain go on after a loss,
// as the writer does: what they led to may be among what is lost.
func (v *Verifier) noteGap(e *Event) {
	if e.Gap == nil || e.Gap.Lost == nil {
		return
	}
	v.result.Recoveries++
	v.result.Lost += skipped(e)
	v.traces = NewTraces()
}

// LostBefore is the seq from which on, up to a record, all are lost, as the record
// says; 0 where it says no such thing.
func LostBefore(r Record) int64 {
	e, ok := r.(*Event)
	if !ok || e.Gap == nil || e.Gap.Lost == nil || e.Gap.Lost.Last != e.Chain.Seq-1 {
		return 0
	}
	return e.Gap.Lost.First
}

// skipped is how many seqs right before a record a recovery left out, which the
// record itself says.
func skipped(r Record) int64 {
	if first := LostBefore(r); first > 0 {
		return r.RecordHead().Chain.Seq - first
	}
	return 0
}

// checkPlace holds a record against the one before.
func (v *Verifier) checkPlace(checked *checked) (Cause, error) {
	r := checked.record
	if v.result.Records == 0 {
		return "", nil
	}
	c := r.RecordHead().Chain
	lost := skipped(r)
	switch next := v.result.Last + 1 + lost; {
	case c.ID != v.result.ChainID:
		return CauseChain, fmt.Errorf("a record of chain %s in chain %s", c.ID, v.result.ChainID)
	case c.Seq == next+1:
		return CauseGap, fmt.Errorf("seq %d is missing", next)
	case c.Seq > next:
		return CauseGap, fmt.Errorf("seq %d to %d are missing", next, c.Seq-1)
	case c.Seq < next && lost > 0:
		return CauseGap, fmt.Errorf("it gives %d records before it for lost, and seq %d is there", lost, v.result.Last)
	case c.Seq < next:
		return CauseOrder, fmt.Errorf("it comes after seq %d", v.result.Last)
	case c.Prev != v.result.Head:
		return CauseLink, fmt.Errorf("chain.prev is %s, but seq %d has the hash %s", c.Prev, v.result.Last, v.result.Head)
	}
	return "", nil
}

func (v *Verifier) checkKey(c *checked) (Cause, error) {
	if v.result.Records == 0 {
		if err := v.trustFirst(c.record); err != nil {
			return CauseKey, err
		}
	}
	h := c.record.RecordHead()
	if key := v.keys.current(); h.KID != key.KID {
		return CauseKey, fmt.Errorf("signed with key %s, but here the chain's key is %s", h.KID, key.KID)
	}
	if err := v.pinned.admits(h); err != nil {
		return CauseKey, err
	}
	return "", nil
}

// checkSignature takes what was found before where that was done with this key.
func (v *Verifier) checkSignature(c *checked) (Cause, error) {
	if key := v.keys.current(); c.key == nil || !key.PublicKey.Equal(c.key) {
		v.buf = AppendCore(v.buf[:0], c.record)
		c.checkSignature(key, v.buf)
	}
	return CauseSignature, c.signature
}

// trustFirst finds the key that the first record must be signed with.
func (v *Verifier) trustFirst(r Record) error {
	h := r.RecordHead()
	v.result.TrustedKID = h.KID
	if v.pinned != nil {
		pub := v.pinned.Key(h.KID)
		if pub == nil {
			return fmt.Errorf("signed with key %s, which is not in the key set", h.KID)
		}
		v.result.Pinned = true
		v.keys.begin(h, pub)
		return nil
	}
	g, ok := r.(*Genesis)
	if !ok {
		return errors.New("the records start after the genesis, which would introduce the key: a key set (JWKS) is needed")
	}
	pub, err := DecodeKey(g.PublicKey)
	if err != nil {
		return err
	}
	v.keys.begin(h, pub)
	return nil
}

func (v *Verifier) checkTime(c *checked) (Cause, error) {
	if ts := c.record.RecordHead().TS; ts.Before(v.lastTS) {
		return CauseTime, fmt.Errorf("ts is %s, before the %s of the record before", ts.Format(timeLayout), v.lastTS.Format(timeLayout))
	}
	return "", nil
}

func (v *Verifier) checkReceipt(c *checked) (Cause, error) {
	receipt, ok := c.record.(*Receipt)
	if !ok {
		return "", nil
	}
	if v.ids.has(receipt.ReceiptID) {
		return CauseReceiptID, fmt.Errorf("receipt_id %s was there already", receipt.ReceiptID)
	}
	hop, prev := v.traces.Next(receipt.TraceID)
	if hop == 1 && v.result.First > 1 {
		v.result.HopsUnproved++
		return "", nil
	}
	if receipt.Hop != hop || receipt.PrevReceiptHash != prev {
		return CauseHop, fmt.Errorf("hop %d after %q in trace %q; it must be hop %d after %q",
			receipt.Hop, receipt.PrevReceiptHash, receipt.TraceID, hop, prev)
	}
	return "", nil
}

// checkKeyChange lets a record that the old key signed bring in the new one.
func (v *Verifier) checkKeyChange(c *checked) (Cause, error) {
	e, ok := c.record.(*Event)
	if !ok || e.Event != EventKeyChange {
		return "", nil
	}
	if err := v.keys.succeed(&e.Head, e.Key); err != nil {
		return CauseKey, err
	}
	return "", nil
}
