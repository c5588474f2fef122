package journal

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/signet-egress/signet/receipts/checkpoint"
)

// UnavailableError says why the journal does not take a record or an intent.
// While it lasts, egress is denied.
type UnavailableError struct {
	Path   string // of the journal's file
	Full   bool   // the disk is full: the journal resumes by itself when space returns
	Reason string // what to do about it included
	Err    error  // the cause; may be nil
}

func (e *UnavailableError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("journal %s: %s", e.Path, e.Reason)
	}
	return fmt.Sprintf("journal %s: %s: %v", e.Path, e.Reason, e.Err)
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// LockedError says that another process has the journal open.
type LockedError struct {
	Dir string // data directory
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("journal in %s is in use by another process: a running sidecar, or a command that reads a stopped one's; "+
		"stop it, or use another data directory", e.Dir)
}

// VersionError says that another version of Signet wrote the journal.
type VersionError struct {
	Path    string
	Found   string // the journal's format; empty where it has none
	Intents bool   // of the format, but for its open intents
}

func (e *VersionError) Error() string {
	if e.Intents {
		return fmt.Sprintf("journal %s has open intents as an earlier build of signet wrote them, which this one does not read: start that build "+
			"on the data directory %s once and stop it, which closes them, then start this one", e.Path, filepath.Dir(e.Path))
	}
	return fmt.Sprintf("journal %s has format %q and this program reads %q only: run the version of signet that wrote it, "+
		"or move the data directory away to begin a new chain", e.Path, e.Found, format)
}

// CorruptError says that a file of the journal is not what was written. Nothing
// repairs it by itself: the records that it still holds are evidence.
type CorruptError struct {
	Path        string
	First, Last int64 // seqs of the records that it is about; 0 where that is not known
	Err         error // what is wrong, and where
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal %s is damaged: %v; keep the file as evidence, and restore the data directory %s from a backup "+
		"or move it away to begin a new chain; signet journal check says what can still be proved, signet journal recover has the chain go on",
		e.Path, e.Err, filepath.Dir(e.Path))
}

func (e *CorruptError) Unwrap() error { return e.Err }

// CheckpointError says that the file of checkpoints is not what was written, or
// belongs to another chain.
type CheckpointError struct {
	Path string
	Err  error
}

func (e *CheckpointError) Error() string {
	return fmt.Sprintf("checkpoints %s cannot be believed: %v; keep the file as evidence, and have the chain go on without: signet journal recover; "+
		"that the journal was not rolled back is not shown then", e.Path, e.Err)
}

func (e *CheckpointError) Unwrap() error { return e.Err }

// RolledBackError says that the journal is not the newest that there was: it ends
// before its newest checkpoint, or has another record there.
type RolledBackError struct {
	Path  string
	Head  Head                  // of the journal as it is
	Known checkpoint.Checkpoint // what was there
}

func (e *RolledBackError) Error() string {
	return fmt.Sprintf("journal %s was rolled back: it ends at seq %d, and a checkpoint shows that it had seq %d, of %s, with the hash %s; "+
		"to go on would write another chain of the same name: restore the newest data directory, or have the chain go on with a record of the loss: signet journal recover",
		e.Path, e.Head.Seq, e.Known.Seq, e.Known.TS.UTC().Format("2006-01-02T15:04:05.000Z"), e.Known.Hash)
}

// isFull tells an error that ends when space returns from one that does not.
func isFull(err error) bool {
	_, budget := errors.AsType[*budgetError](err)
	return budget || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
