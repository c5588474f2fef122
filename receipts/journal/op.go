package journal

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"

	"github.com/signet-egress/signet/receipts"
)

// Commit is an operation on its way to the disk.
type Commit struct {
	done sync.WaitGroup // one: the writer, until it settles the operation
	err  error
}

// Wait returns once the record is durable, or says why it is not. It cannot be
// cancelled, because the commit cannot: whoever leaves earlier knows nothing.
func (c *Commit) Wait() error {
	c.done.Wait()
	return c.err
}

type opKind int

const (
	opBegin  opKind = iota // an intent: id, draft, dissolve
	opFinish               // a receipt: id, record
	opEvent                // an event: record
	opRotate               // a key change: next; the writer makes the record
	opChange               // what sealing does to the database: change
)

// op is what is queued for the writer, which owns it from then on.
type op struct {
	Commit
	kind     opKind
	own      bool // the journal's own doing, paid for by the reserve's slack
	id       string
	draft    []byte
	dissolve string
	record   receipts.Record
	next     *signer
	change   change

	closed string // id of the intent that the commit removes; set by the writer
}

func newOp(kind opKind) *op {
	o := &op{kind: kind}
	o.done.Add(1)
	return o
}

func (o *op) settle(err error) {
	o.err = err
	o.done.Done()
}

// Begin returns once the intent to make the exchange that r drafts is durable,
// under r.ReceiptID; nothing may have been sent before. dissolve, if not empty,
// names another open intent, which goes in the same commit, if it is still
// open. Begin fills in the salt of r's detail, and keeps nothing of r. An error
// means that the exchange must not be made: an *UnavailableError,
// or what is wrong with r.
func (j *Journal) Begin(r *receipts.Receipt, dissolve string) error {
	if err := j.Err(); err != nil {
		return err
	}
	if err := validate(r, j.anyHead); err != nil {
		return fmt.Errorf("begin %s: %w", r.ReceiptID, err)
	}
	r.Head, r.Hop, r.DetailDigest = receipts.Head{}, 0, ""
	if !j.takeSlot() {
		return &UnavailableError{Path: j.path, Reason: fmt.Sprintf("%d exchanges are under way, as many as are allowed at once", j.maxOpen)}
	}
	o := newOp(opBegin)
	o.id, o.draft, o.dissolve = r.ReceiptID, appendDraft(make([]byte, 0, draftRoom), r), dissolve
	j.enqueue(o)
	return o.Wait()
}

// Finish queues the receipt of an exchange and returns at once. Its commit
// closes the intent of r.ReceiptID, if there is one; a denial has none. r
// belongs to the journal until Wait returns; then its head, links, digest and
// salt are filled in.
func (j *Journal) Finish(r *receipts.Receipt) *Commit {
	o := newOp(opFinish)
	o.id, o.record = r.ReceiptID, r
	if err := complete(r, j.anyHead); err != nil {
		o.settle(fmt.Errorf("finish %s: %w", r.ReceiptID, err))
		return &o.Commit
	}
	j.enqueue(o)
	return &o.Commit
}

// Event appends e and returns once it is durable.
func (j *Journal) Event(e *receipts.Event) error {
	if e.Event == receipts.EventKeyChange {
		return errors.New("event key_change: only RotateKey changes the key")
	}
	e.Head = j.anyHead
	if err := receipts.Validate(e); err != nil {
		return fmt.Errorf("event %s: %w", e.Event, err)
	}
	o := newOp(opEvent)
	o.record = e
	j.enqueue(o)
	return o.Wait()
}

// complete does the part of a receipt that does not depend on its place, in the
// caller's goroutine.
func complete(r *receipts.Receipt, place receipts.Head) error {
	if err := validate(r, place); err != nil {
		return err
	}
	r.DetailDigest = receipts.DetailDigest(r.Detail)
	return nil
}

// validate makes sure that r can enter the chain wherever it comes to stand: a
// record that verifiers refuse would spoil the chain for good.
func validate(r *receipts.Receipt, place receipts.Head) error {
	if r.Detail == nil {
		return errors.New("a receipt needs its detail")
	}
	if r.Detail.Salt == "" {
		r.Detail.Salt = newSalt()
	}
	r.Head, r.Hop, r.PrevReceiptHash, r.DetailDigest = place, 1, "", anyDigest
	return receipts.Validate(r)
}

func newSalt() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
