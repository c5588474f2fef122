// Package journal is the sidecar's local store of evidence: the chain of signed
// records and the intents of exchanges under way, in one bbolt file, with older
// records in immutable files beside it.
//
// An exchange is an intent first (Begin), durable before anything is sent, and
// a receipt afterwards (Finish), durable before the agent sees the end of its
// answer. What a crash leaves open becomes a receipt with outcome unknown at
// the next start.
//
// One goroutine writes. It takes all that is queued, gives the records their
// places in the chain, has them signed on all cores, and commits once; while
// that is on its way to the disk the next group gathers. There is no timer.
//
// A second goroutine seals: it moves older records into compressed files, and
// removes those that retention no longer asks for. Readers see one chain.
package journal

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/checkpoint"
)

// Options say where the journal is and who writes it.
type Options struct {
	// Dir is the data directory, made if absent. It must be on a local file
	// system: locks, mmap and fsync of others do not hold.
	Dir string
	// Key signs; see LoadKey. Next, if not nil, does where the chain has gone over
	// to it already: the staged key of a rotation that was cut short.
	Key, Next ed25519.PrivateKey
	// Tenant is whom the chain is billed to. A journal has one for life.
	Tenant string
	// Agent and Build are what a new chain's genesis says; Build is also in each
	// start event.
	Agent, Build string
	// PolicyVersion is the policy in force at the start.
	PolicyVersion string
	// Command: a command opens the journal, not a sidecar. There must be one, whose
	// tenant is taken as it is, and it is not told of a start.
	Command bool
	// MaxOpen bounds the intents that are open at once, since each one holds disk
	// space for its receipt (about 12 KiB) and is a receipt to write after a
	// crash. Default 4096.
	MaxOpen int
	// CheckpointRecords and CheckpointInterval say when the head is signed anew
	// beside the chain: after so many records, and after so long if there is a new
	// one. Default 10,000 and one minute.
	CheckpointRecords  int64
	CheckpointInterval time.Duration
	// Now is the clock, with a monotonic reading if steps are to be seen. Default
	// time.Now.
	Now func() time.Time
	// Logger is told of trouble and its end, not of records. Default: none.
	Logger *slog.Logger
	// Observer is told of commits and signatures; nil for none.
	Observer Observer
	// Limits are what the journal may keep, and how.
	Limits Limits

	hooks hooks
}

const defaultMaxOpen = 4096

// resumeEvery is how often a full disk is looked at again.
const resumeEvery = time.Second

// Journal is an open journal. Its methods may be called by many goroutines.
type Journal struct {
	path     string
	maxOpen  int64
	logger   *slog.Logger
	observer Observer
	anyHead  receipts.Head // well-formed: what records are validated with before they have a place

	open atomic.Int64                     // intents that are open or queued to be
	err  atomic.Pointer[UnavailableError] // nil: Begin may be tried
	done chan struct{}                    // closed when the writer has ended

	mu      sync.Mutex
	queue   []*op
	closing bool          // nothing is queued any more
	wake    chan struct{} // holds a token when the writer has something to look at
	head    Head
	keys    []receipts.ChainKey // never written to, only replaced
	sign    *signer             // signs the next record
	changed chan struct{}       // closed and replaced when head moves

	checkpoints *checkpointer

	storeMu  sync.RWMutex // held for reading around each read transaction
	store    *store       // nil when closed; replaced by the writer
	closeErr error        // written by the writer before done is closed

	archive  *archive
	budget   *budget
	sealer   *sealer
	unsealed atomic.Int64 // bytes of the records in the database
	ackMu    sync.Mutex   // held while an acknowledgement is taken in
	acked    atomic.Pointer[Ack]
}

var anyDigest = "sha256:" + strings.Repeat("0", 64)

// Err is nil while intents can begin, else the *UnavailableError that Begin
// returns.
func (j *Journal) Err() error {
	if err := j.err.Load(); err != nil {
		return err
	}
	return nil
}

// Head is the newest durable record.
func (j *Journal) Head() Head {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.head
}

// Keys are the keys of the chain, the one that signs last.
func (j *Journal) Keys() []receipts.ChainKey {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.keys)
}

// KeyID is the thumbprint of the key that signs the next record.
func (j *Journal) KeyID() string {
	keys := j.Keys()
	return keys[len(keys)-1].KID
}

// Checkpoint is the newest signed checkpoint, or nil. Kept elsewhere, it shows
// later that nothing up to it was cut off.
func (j *Journal) Checkpoint() *checkpoint.Note { return j.checkpoints.newest.Load() }

// OpenIntents counts the intents that are open or about to be.
func (j *Journal) OpenIntents() int { return int(j.open.Load()) }

// Changed is closed when the head moves next, and when the journal ends. A
// follower takes it before it reads.
func (j *Journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

func (j *Journal) records() records { return records{archive: j.archive, view: j.view} }

// Range calls fn with every record from seq from on that was not pruned,
// ascending, up to the newest at the time of the call. line is valid until fn returns; fn may take
// its time. Errors are fn's, the context's, and an *UnavailableError.
func (j *Journal) Range(ctx context.Context, from int64, fn func(seq int64, line []byte) error) error {
	return j.records().each(ctx, from, j.Head().Seq, fn)
}

// Close takes no more operations, waits for those that are queued, marks a
// clean stop if no intent is open, and closes the file. Sealing stops where it
// is. It is an error if ctx ends first; the file is then closed as soon as the
// disk lets go.
func (j *Journal) Close(ctx context.Context) error {
	j.sealer.stop()
	select {
	case <-j.sealer.done:
	case <-ctx.Done():
	}
	j.mu.Lock()
	j.closing = true
	j.mu.Unlock()
	j.rouse()
	for _, ended := range []chan struct{}{j.done, j.checkpoints.done} {
		select {
		case <-ended:
		case <-ctx.Done():
			return fmt.Errorf("close journal %s: %w", j.path, ctx.Err())
		}
	}
	return j.closeErr
}

func (j *Journal) takeSlot() bool {
	if j.open.Add(1) <= j.maxOpen {
		return true
	}
	j.open.Add(-1)
	return false
}

func (j *Journal) enqueue(o *op) {
	j.mu.Lock()
	closing := j.closing
	if !closing {
		j.queue = append(j.queue, o)
	}
	j.mu.Unlock()
	if closing {
		j.refuse(o, &UnavailableError{Path: j.path, Reason: "closed"})
		return
	}
	j.rouse()
}

func (j *Journal) rouse() {
	select {
	case j.wake <- struct{}{}:
	default: // a token is there already
	}
}

func (j *Journal) refuse(o *op, err error) {
	if o.kind == opBegin {
		j.open.Add(-1)
	}
	o.settle(err)
}

// signedHead is the newest durable record, and what signs after it.
func (j *Journal) signedHead() (Head, *signer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.head, j.sign
}

func (j *Journal) publish(h Head, keys []receipts.ChainKey, sign *signer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keys, j.sign = keys, sign
	if h.Seq == j.head.Seq {
		return
	}
	j.head = h
	close(j.changed)
	j.changed = make(chan struct{})
}
