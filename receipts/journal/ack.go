package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/signet-egress/signet/internal/durable"
)

const ackName = "ack.json"

// Ack is a collector's word that it has the chain up to a record. Document is
// what the collector signed, as it came; whoever receives it checks the
// signature. It is kept beside the journal, so that a journal that is put back
// to an older state shows.
type Ack struct {
	Chain    string          `json:"chain"`
	Seq      int64           `json:"seq"`
	Hash     string          `json:"receipt_hash"`
	Document json.RawMessage `json:"-"` // an object that has the other members too
}

// RollbackError says that a collector has acknowledged what the journal does not
// have: an older state of the disk, or another chain than the one that was
// shipped.
type RollbackError struct {
	Path string // of the acknowledgement
	Err  error
}

func (e *RollbackError) Error() string {
	return fmt.Sprintf("%s does not fit the journal: %v; put the newest state of the data directory back, "+
		"or have the chain go on without what is lost: signet journal recover", e.Path, e.Err)
}

func (e *RollbackError) Unwrap() error { return e.Err }

// Acked is the newest acknowledgement; zero without one.
func (j *Journal) Acked() Ack {
	if a := j.acked.Load(); a != nil {
		return *a
	}
	return Ack{}
}

// SetAcked keeps an acknowledgement; it is durable when SetAcked returns nil. One
// that is not newer changes nothing. One that the chain does not bear out is
// kept as well, as evidence: the *RollbackError is final, and egress is denied
// until an operator recovers.
func (j *Journal) SetAcked(ctx context.Context, document []byte) error {
	ack, err := parseAck(document)
	if err != nil {
		return err
	}
	j.ackMu.Lock()
	defer j.ackMu.Unlock()
	if ack.Seq <= j.Acked().Seq && ack.Chain == j.Head().Chain {
		return nil
	}
	path := filepath.Join(filepath.Dir(j.path), ackName)
	if err := durable.WriteFile(path, document, 0o600); err != nil {
		return fmt.Errorf("keep acknowledgement: %w", err)
	}
	if err := ack.check(ctx, path, j.records(), j.Head()); err != nil {
		if _, rollback := errors.AsType[*RollbackError](err); rollback {
			j.err.Store(&UnavailableError{Path: j.path, Reason: "the collector has another chain than this one; egress is denied until an operator recovers", Err: err})
			j.logger.Error("journal: the collector has another chain, egress is denied", "path", j.path, "error", err.Error())
		}
		return err
	}
	j.acked.Store(ack)
	j.sealer.rouse() // something may be pruned
	return nil
}

func parseAck(document []byte) (*Ack, error) {
	ack := &Ack{Document: document}
	if err := json.Unmarshal(document, ack); err != nil {
		return nil, fmt.Errorf("acknowledgement: %w", err)
	}
	if ack.Chain == "" || ack.Seq < 1 || ack.Hash == "" {
		return nil, errors.New("acknowledgement: it names no chain, seq and receipt_hash")
	}
	return ack, nil
}

// ReadAck reads the acknowledgement in a data directory; nil where there is none.
// Who signed it is for the caller to check.
func ReadAck(dir string) (*Ack, error) {
	path := filepath.Join(dir, ackName)
	document, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read acknowledgement: %w", err)
	}
	ack, err := parseAck(document)
	if err != nil {
		return nil, &CorruptError{Path: path, Err: err}
	}
	return ack, nil
}

// acknowledged reads the acknowledgement in dir and holds it against the chain;
// nil where there is none.
func acknowledged(ctx context.Context, dir string, chain records, head Head) (*Ack, error) {
	ack, err := ReadAck(dir)
	if ack != nil {
		err = ack.check(ctx, filepath.Join(dir, ackName), chain, head)
	}
	return ack, err
}

// check holds an acknowledgement against the chain. What was pruned, or given up
// for lost, is taken as it says.
func (a *Ack) check(ctx context.Context, path string, chain records, head Head) error {
	fail := func(format string, args ...any) error {
		return &RollbackError{Path: path, Err: fmt.Errorf(format, args...)}
	}
	if a.Chain != head.Chain {
		return fail("it is of chain %s, and the journal's is %s", a.Chain, head.Chain)
	}
	if a.Seq > head.Seq {
		return fail("a collector has acknowledged record %d, and the newest here is %d", a.Seq, head.Seq)
	}
	return chain.each(ctx, a.Seq, a.Seq, func(seq int64, line []byte) error {
		if seq != a.Seq {
			return nil
		}
		hash, err := hashOf(line)
		if err == nil && hash != a.Hash {
			err = fail("record %d has the hash %s, and a collector has acknowledged %s", seq, hash, a.Hash)
		}
		return err
	})
}
