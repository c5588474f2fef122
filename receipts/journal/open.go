package journal

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"

	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/receipts"
)

// hooks are the seams of the tests. The zero value is the real thing.
type hooks struct {
	commit   func(*bbolt.Tx) error
	allocate allocator
	clock    func() (wall time.Time, mono time.Duration)
	resume   time.Duration
	seal     time.Duration
	create   func(path string, mode fs.FileMode, fill func(io.Writer) error) error
	remove   func(path string) error
}

// Open opens the journal in o.Dir, or begins a chain where there is none. An
// existing file is checked whole: its pages, the hashes and links of its records,
// the newest one's signature, which stands for them all, and that o.Key signed it.
// Sealed files are not read; Examine does. Then what an unclean stop has left is
// put on record: a gap event, a receipt with outcome unknown for each open
// intent, and a start event are durable when Open returns.
//
// Errors are *LockedError, *VersionError, *CorruptError, *UnavailableError,
// *RolledBackError, *CheckpointError, and what is wrong with the options.
func Open(ctx context.Context, o Options) (*Journal, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	path := filepath.Join(o.Dir, fileName)
	if err := o.ensure(path); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	s, c, err := openVerified(path, false)
	if err != nil {
		return nil, err
	}
	if doubt := durable.Doubt(o.Dir); doubt != "" {
		o.Logger.Warn("journal: the data directory is no place for evidence", "dir", o.Dir, "why", doubt)
	}
	j, first, err := o.prepare(ctx, s, c)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	for _, op := range first {
		if err := op.Wait(); err != nil {
			j.err.Store(&UnavailableError{Path: path, Reason: "not opened", Err: err}) // no clean stop
			return nil, errors.Join(fmt.Errorf("recover journal: %w", err), j.Close(ctx))
		}
	}
	return j, nil
}

func (o *Options) complete() error {
	if len(o.Key) != ed25519.PrivateKeySize {
		return fmt.Errorf("open journal: the signing key has %d bytes, not %d", len(o.Key), ed25519.PrivateKeySize)
	}
	if o.Dir == "" {
		return errors.New("open journal: no data directory is named")
	}
	o.MaxOpen = cmp.Or(o.MaxOpen, defaultMaxOpen)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.hooks.clock == nil {
		o.hooks.clock = readings(o.Now)
	}
	if o.hooks.commit == nil {
		o.hooks.commit = (*bbolt.Tx).Commit
	}
	if o.hooks.allocate == nil {
		o.hooks.allocate = durable.Allocate
	}
	if o.hooks.create == nil {
		o.hooks.create = durable.CreateFrom
	}
	if o.hooks.remove == nil {
		o.hooks.remove = durable.Remove
	}
	o.CheckpointRecords = cmp.Or(o.CheckpointRecords, defaultCheckpointRecords)
	o.CheckpointInterval = cmp.Or(o.CheckpointInterval, defaultCheckpointInterval)
	o.hooks.resume = cmp.Or(o.hooks.resume, resumeEvery)
	o.hooks.seal = cmp.Or(o.hooks.seal, sealEvery)
	return o.Limits.complete()
}

// genesis is how a new chain would begin. What is wrong with the options shows
// in it, also where there is a chain.
func (o *Options) genesis(sign *signer) (*receipts.Genesis, error) {
	wall, _ := o.hooks.clock()
	g := &receipts.Genesis{
		Head: receipts.Head{
			Chain: receipts.Chain{ID: uuid.Must(uuid.NewV7()).String(), Seq: 1},
			TS:    wall.UTC().Truncate(time.Millisecond),
			KID:   sign.kid,
		},
		Tenant: o.Tenant, Agent: o.Agent, Build: o.Build,
		PublicKey: receipts.EncodeKey(publicOf(sign.key)), PolicyVersion: o.PolicyVersion,
	}
	return g, receipts.Validate(g)
}

// ensure makes a journal where there is none.
func (o *Options) ensure(path string) error {
	if o.Command {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("no journal in %s: %w", o.Dir, err)
		}
		return nil
	}
	sign := newSigner(o.Key, o.Observer)
	g, err := o.genesis(sign)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err // nil: it is there
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	err = create(path, g, sign)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was first; its lock will tell
	}
	if err != nil && isFull(err) {
		return &UnavailableError{Path: path, Full: true, Reason: "the disk is full: free space there or enlarge the volume", Err: err}
	}
	return err
}

// openVerified opens an existing journal and believes nothing that it has not
// checked.
func openVerified(path string, readOnly bool) (*store, *contents, error) {
	s, err := openStore(path, readOnly)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.load()
	if err == nil {
		err = s.check(c)
	}
	if err == nil {
		err = verifyHead(c, path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	return s, c, nil
}

// verifyHead checks the newest record's signature. It may be the key change
// itself, which the key before has signed.
func verifyHead(c *contents, path string) error {
	h := c.headRecord.RecordHead()
	signing := slices.IndexFunc(c.keys, func(k receipts.ChainKey) bool { return k.KID == h.KID })
	if signing < 0 {
		return &CorruptError{Path: path, Err: fmt.Errorf("record %d is signed with the key %s, which the chain does not have", h.Chain.Seq, h.KID)}
	}
	if err := c.keys[signing].Verify(c.headRecord); err != nil {
		return &CorruptError{Path: path, Err: fmt.Errorf("record %d: %w", h.Chain.Seq, err)}
	}
	return nil
}

// prepare makes the journal and starts its writer, which begins with what the
// stop before has left to write.
func (o *Options) prepare(ctx context.Context, s *store, c *contents) (j *Journal, first []*op, err error) {
	if c.tenant != o.Tenant && !o.Command {
		return nil, nil, fmt.Errorf("journal %s belongs to tenant %q and cannot take records of %q: use another data directory",
			s.path, c.tenant, o.Tenant)
	}
	j = &Journal{
		path: s.path, maxOpen: int64(o.MaxOpen), logger: o.Logger, observer: o.Observer,
		anyHead: c.anyHead(),
		done:    make(chan struct{}), wake: make(chan struct{}, 1), changed: make(chan struct{}), head: c.head, keys: c.keys, store: s,
		archive: c.archive, budget: &budget{limits: &o.Limits, archive: c.archive, logger: o.Logger},
	}
	if err := o.prepareSealing(ctx, j, c); err != nil {
		return nil, nil, err
	}
	j.open.Store(int64(len(c.intents)))
	w := &writer{
		j: j, known: o.signers(), clock: newClock(o.hooks.clock, c.head.TS),
		commit: o.hooks.commit, resume: o.hooks.resume, alloc: j.budget.within(o.hooks.allocate),
	}
	if j.checkpoints, err = o.openCheckpoints(s, c); err != nil {
		return nil, nil, err
	}
	j.checkpoints.j = j
	if err := w.adopt(s, c); err != nil && isFull(err) {
		w.becomeFull(err)
	} else if err != nil {
		return nil, nil, err
	}
	first, err = j.recovery(o, c, w.clock.behind())
	if err != nil {
		return nil, nil, fmt.Errorf("recover journal %s: %w", s.path, err)
	}
	j.queue, j.sign = slices.Clone(first), w.sign
	sealing, stop := context.WithCancel(context.WithoutCancel(ctx))
	j.sealer.stop = stop
	go w.run()
	go j.sealer.run(sealing)
	go j.checkpoints.run()
	return j, first, nil
}

// prepareSealing takes stock of the sealed files and of what a collector has
// acknowledged.
func (o *Options) prepareSealing(ctx context.Context, j *Journal, c *contents) error {
	j.unsealed.Store(c.bytes)
	s := &sealing{records: j.records(), change: j.apply, create: o.hooks.create, remove: o.hooks.remove}
	if err := s.reconcile(ctx); err != nil {
		return err
	}
	ack, err := acknowledged(ctx, o.Dir, j.records(), c.head)
	if err != nil {
		return err
	}
	j.acked.Store(ack)
	j.sealer = &sealer{
		j: j, sealing: s, limits: &o.Limits, every: o.hooks.seal, age: steady(o.hooks.clock),
		wake: make(chan struct{}, 1), now: make(chan chan error), done: make(chan struct{}),
	}
	return nil
}

// adopt makes what the file holds the writer's state.
func (w *writer) adopt(s *store, c *contents) error {
	w.store, w.head, w.hops, w.keys = s, c.head, c.hops, c.keys
	if err := w.takeKey(s.path); err != nil {
		return err
	}
	w.intents = make(map[string]int64, len(c.intents))
	var held int64
	for id, draft := range c.intents {
		w.intents[id] = roomFor(len(draft), s.pageSize())
		held += w.intents[id]
	}
	var err error
	w.reserve, err = newReserve(s, c.used, held, w.alloc)
	return err
}

// recovery is what the writer writes first, as one group.
func (j *Journal) recovery(o *Options, c *contents, behind time.Duration) ([]*op, error) {
	var ops []*op
	event := func(e *receipts.Event) {
		op := newOp(opEvent)
		op.own, op.record = true, e
		ops = append(ops, op)
	}
	if behind != 0 {
		event(&receipts.Event{Event: receipts.EventClockStep, Clock: &receipts.ClockStep{StepMS: behind.Milliseconds()}})
	}
	if n := len(c.intents); n > 0 || !c.clean() {
		event(&receipts.Event{Event: receipts.EventGap, Gap: &receipts.Gap{Unknown: int64(n)}})
		j.logger.Warn("journal: the last stop was not clean", "path", j.path, "unknown", n)
	}
	for _, id := range slices.Sorted(maps.Keys(c.intents)) {
		r, err := unknownReceipt(c.intents[id], j.anyHead)
		if err != nil {
			return nil, fmt.Errorf("intent %s: %w", id, err)
		}
		op := newOp(opFinish)
		op.id, op.record = id, r
		ops = append(ops, op)
	}
	if !o.Command {
		event(&receipts.Event{Event: receipts.EventStart, Build: o.Build, PolicyVersion: o.PolicyVersion})
	}
	return ops, nil
}
