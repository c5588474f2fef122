package journal

import "time"

// Observer is told what the journal does, for metrics. Its methods are called
// on the way of every exchange, from several goroutines at once: they
// must be quick and must not call the journal.
type Observer interface {
	// Committed follows each commit, also a failed one.
	Committed(CommitStats)
	// Checkpointed follows each checkpoint, also a failed one. Nobody waits for it.
	Checkpointed(seq int64, took time.Duration, err error)
	// Signed follows each signature.
	Signed(took time.Duration)
	// Sealed follows each file that sealing makes, or cannot make.
	Sealed(took time.Duration, err error)
}

// CommitStats describes one commit.
type CommitStats struct {
	Took    time.Duration // of the database transaction, sync included
	Err     error         // nil: everything in it is durable
	Intents int           // intents begun in it
	Records int           // records appended in it
	Pending int           // operations queued behind it
	Open    int           // open intents after it
	Bytes   int64         // size of the database file, reserve included
}
