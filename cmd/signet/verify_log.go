package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/logproof"
)

// causeLog is what is wrong where a record is good, but not logged as it should be.
const causeLog receipts.Cause = "log"

// logFlags are how a collector's log is named and trusted.
type logFlags struct {
	log, key, token, remembered string
}

// heldLog is a collector's log up to a checkpoint, which was verified: the newest,
// or the newest that its witnesses have cosigned.
type heldLog struct {
	source    logSource
	tree      tlog.Tree
	text      []byte // the newest checkpoint
	old       int64  // size of the one that was remembered; 0: none
	leaves    map[tlog.Hash]struct{}
	demanded  bool                   // there is a policy
	cosigned  []logproof.Cosignature // of its witnesses
	unchecked int                    // signatures beside these and the log's
}

// readLog reads all of the log: 32 bytes a record from the source, and some 60 of
// memory. nil where no log is named.
func (f *logFlags) readLog(ctx context.Context, policy *logproof.Policy) (*heldLog, error) {
	if f.log == "" {
		if f.key != "" || f.token != "" || f.remembered != "" {
			return nil, exit(exitUnusable, errors.New("--log-key, --token-file and --log-checkpoint go with --log"))
		}
		return nil, nil
	}
	if f.key == "" {
		return nil, exit(exitUnusable, errors.New("--log needs --log-key, the verifier key of the log, which the collector has at /v1/log/key: keep it from another time, or have it on another way, than what is verified"))
	}
	if _, err := note.NewVerifier(f.key); err != nil {
		return nil, exit(exitUnusable, fmt.Errorf("--log-key %s: %w", f.key, err))
	}
	source, err := f.source()
	if err != nil {
		return nil, exit(exitUnusable, err)
	}
	l := &heldLog{source: source, leaves: make(map[tlog.Hash]struct{}), demanded: policy != nil}
	if l.text, err = source.checkpoint(ctx); err != nil {
		return nil, exit(exitUnusable, fmt.Errorf("the log's checkpoint: %w", err))
	}
	if l.tree, err = logproof.OpenCheckpoint(l.text, f.key); err != nil {
		return nil, f.refuse(err)
	}
	return l, f.hold(ctx, l, policy)
}

// hold reads the leaves, and holds the log against the checkpoint that is
// remembered, which the newer one then takes the place of, and against the policy.
func (f *logFlags) hold(ctx context.Context, l *heldLog, policy *logproof.Policy) error {
	log := logproof.Read(l.tree, func(path string) ([]byte, error) { return l.source.tile(ctx, path) })
	if err := l.remember(f, log); err != nil {
		return err
	}
	if err := f.holdWitnessed(ctx, l, log, policy); err != nil {
		return err
	}
	if err := log.Leaves(func(index int64, leaf tlog.Hash) {
		if index < l.tree.N {
			l.leaves[leaf] = struct{}{}
		}
	}); err != nil {
		return f.refuse(err)
	}
	if f.remembered == "" {
		return nil
	}
	return durable.WriteFile(f.remembered, l.text, 0o600)
}

// holdWitnessed takes the log back to the newest checkpoint that meets the policy,
// which what came after must extend.
func (f *logFlags) holdWitnessed(ctx context.Context, l *heldLog, log *logproof.Log, policy *logproof.Policy) (err error) {
	if policy == nil {
		_, l.unchecked, err = policy.Check(l.text, f.key)
		return err
	}
	older, err := l.source.witnessed(ctx)
	if err != nil {
		return exit(exitUnusable, fmt.Errorf("the log's cosigned checkpoints: %w", err))
	}
	var lacking error // of the newest
	for _, text := range slices.Insert(older, 0, l.text) {
		tree, err := logproof.OpenCheckpoint(text, f.key)
		if err == nil {
			l.cosigned, l.unchecked, err = policy.Check(text, f.key)
		}
		if err != nil {
			lacking = cmp.Or(lacking, err)
			continue
		}
		if err := log.Extends(tree); err != nil {
			return f.refuse(err)
		}
		l.tree = tree
		return nil
	}
	return f.refuse(lacking)
}

func (l *heldLog) remember(f *logFlags, log *logproof.Log) error {
	if f.remembered == "" {
		return nil
	}
	text, err := os.ReadFile(f.remembered)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return exit(exitUnusable, fmt.Errorf("--log-checkpoint: %w", err))
	}
	old, err := logproof.OpenCheckpoint(text, f.key)
	if err != nil {
		return exit(exitUnusable, fmt.Errorf("--log-checkpoint %s: %w", f.remembered, err))
	}
	l.old = old.N
	if err := log.Extends(old); err != nil {
		return f.refuse(err)
	}
	return nil
}

func (f *logFlags) refuse(err error) error {
	return &refused{path: f.log, cause: causeLog, err: err, text: string(causeLog) + ": " + err.Error()}
}

// check wants a record in the log.
func (l *heldLog) check(ctx context.Context, h *receipts.Head) error {
	leaf, err := logproof.LeafOf(h.ReceiptHash)
	if err != nil {
		return err
	}
	if _, ok := l.leaves[leaf]; ok {
		return nil
	}
	bad := &receipts.VerifyError{Seq: h.Chain.Seq, Cause: causeLog, Err: fmt.Errorf("it is not among the %d records of the log: it was never shipped, not logged yet, or kept out", l.tree.N)}
	if l.demanded {
		bad.Err = fmt.Errorf("it is not among the %d records of the log that its witnesses have cosigned: it was never shipped, not logged yet, not cosigned yet, or kept out", l.tree.N)
	}
	if other := l.source.standing(ctx, h.Chain.ID, h.Chain.Seq); other != "" && other != h.ReceiptHash {
		bad.Err = fmt.Errorf("a fork: the log has another record at this place, whose receipt_hash is %s", other)
	}
	return bad
}

// describe tells what the log shows of records that are all in it.
func (l *heldLog) describe() string {
	s := fmt.Sprintf("log: every record is in it, up to its checkpoint of %d records", l.tree.N)
	if l.old > 0 {
		s += fmt.Sprintf(", which extends the remembered one of %d", l.old)
	}
	return s + "\n" + describeWitnesses(l.demanded, l.cosigned, l.unchecked)
}
