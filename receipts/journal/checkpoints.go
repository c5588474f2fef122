package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/receipts/checkpoint"
)

// checkpointsName is the file of checkpoints in the data directory, oldest first.
const checkpointsName = "checkpoints"

const (
	defaultCheckpointRecords  = 10_000
	defaultCheckpointInterval = time.Minute
	// keepCheckpoints bounds the file, in bytes: some 3,600 checkpoints. When it is
	// longer the older half goes, since each holds all before it.
	keepCheckpoints = 1 << 20
)

// checkpointer signs the head of the chain now and then, and keeps the
// checkpoints in a file of their own. Its goroutine owns the file; commits never
// wait for it.
type checkpointer struct {
	j       *Journal
	path    string
	records int64
	every   time.Duration
	wake    chan struct{} // holds a token when enough records have come
	done    chan struct{} // closed when the goroutine has ended
	seq     atomic.Int64  // of the newest checkpoint

	newest atomic.Pointer[checkpoint.Note]
	size   int64 // of the whole checkpoints in the file
	failed bool  // the last one; it is logged once
}

// ReadCheckpoints reads the checkpoints that are kept in dir; there need not be
// any. A last one that is not whole is left out.
func ReadCheckpoints(dir string) ([]checkpoint.Note, error) {
	path := filepath.Join(dir, checkpointsName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	notes, _, err := checkpoint.ParseFile(data)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints %s: %w", path, err)
	}
	return notes, nil
}

// openCheckpoints reads what is kept in the data directory and holds the journal
// that was opened there against the newest of it.
func (o *Options) openCheckpoints(s *store, c *contents) (*checkpointer, error) {
	p := &checkpointer{
		path: filepath.Join(o.Dir, checkpointsName), records: o.CheckpointRecords, every: o.CheckpointInterval,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	data, err := os.ReadFile(p.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	notes, whole, err := checkpoint.ParseFile(data)
	if err != nil {
		return nil, &CheckpointError{Path: p.path, Err: err}
	}
	p.size = int64(whole)
	if len(notes) == 0 {
		return p, nil
	}
	newest := &notes[len(notes)-1]
	p.note(newest)
	return p, p.check(newest, s, c)
}

// check holds the journal against its newest checkpoint. One that is behind was
// rolled back: to go on would fork the chain.
func (p *checkpointer) check(newest *checkpoint.Note, s *store, c *contents) error {
	if newest.Chain != c.chain {
		return &CheckpointError{Path: p.path, Err: fmt.Errorf("they are of chain %s, and the journal is of %s", newest.Chain, c.chain)}
	}
	if newest.Seq > c.head.Seq {
		return &RolledBackError{Path: s.path, Head: c.head, Known: newest.Checkpoint}
	}
	if err := newest.Verify(c.keys); err != nil {
		return &CheckpointError{Path: p.path, Err: fmt.Errorf("that of seq %d: %w", newest.Seq, err)}
	}
	hash, err := s.hashOf(newest.Seq)
	if err == nil && hash != "" && hash != newest.Hash {
		err = &RolledBackError{Path: s.path, Head: c.head, Known: newest.Checkpoint}
	}
	return err
}

func (p *checkpointer) note(n *checkpoint.Note) {
	p.newest.Store(n)
	p.seq.Store(n.Seq)
}

// run ends with the journal, whose last record it still signs.
func (p *checkpointer) run() {
	defer close(p.done)
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for ended := false; !ended; {
		select {
		case <-p.wake:
		case <-ticker.C:
		case <-p.j.done:
			ended = true
		}
		p.emit()
	}
}

// reached wakes the goroutine when enough records have come since the newest
// checkpoint. It is called by the writer after each commit.
func (p *checkpointer) reached(seq int64) {
	if seq-p.seq.Load() < p.records {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default: // a token is there already
	}
}

// emit makes a checkpoint of the head durable, if there is none yet.
func (p *checkpointer) emit() {
	head, sign := p.j.signedHead()
	if head.Seq <= p.seq.Load() {
		return
	}
	start := time.Now()
	n, err := checkpoint.Sign(checkpoint.Checkpoint{Chain: head.Chain, Seq: head.Seq, Hash: head.Hash, TS: head.TS}, sign.key)
	if err == nil {
		err = p.write(n)
	}
	if err == nil {
		p.note(&n)
	}
	if p.j.observer != nil {
		p.j.observer.Checkpointed(head.Seq, time.Since(start), err)
	}
	switch {
	case err != nil && !p.failed:
		p.j.logger.Warn("journal: no checkpoint could be kept, so that records cut off the end would not show", "path", p.path, "error", err.Error())
	case err == nil && p.failed:
		p.j.logger.Info("journal: checkpoints are kept again", "path", p.path, "seq", head.Seq)
	}
	p.failed = err != nil
}

// write appends a checkpoint. What a crash or a failure has left behind the last
// whole one goes first.
func (p *checkpointer) write(n checkpoint.Note) (err error) {
	if p.size > keepCheckpoints {
		if err := p.thin(); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(p.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(p.size); err != nil {
		return err
	}
	data := checkpoint.AppendFile(nil, n)
	if _, err := f.WriteAt(data, p.size); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if p.size == 0 {
		if err := durable.SyncDir(filepath.Dir(p.path)); err != nil { // it may be new
			return err
		}
	}
	p.size += int64(len(data))
	return nil
}

// thin keeps the newer half of the checkpoints.
func (p *checkpointer) thin() error {
	data, err := os.ReadFile(p.path)
	if err != nil {
		return err
	}
	notes, _, err := checkpoint.ParseFile(data[:min(int64(len(data)), p.size)])
	if err != nil {
		return err
	}
	var kept []byte
	for _, n := range notes[len(notes)/2:] {
		kept = checkpoint.AppendFile(kept, n)
	}
	if err := durable.WriteFile(p.path, kept, 0o600); err != nil {
		return err
	}
	p.size = int64(len(kept))
	return nil
}
