package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

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

// logSource is where a log is read from, laid out as C2SP tlog-tiles has it.
type logSource interface {
	checkpoint(ctx context.Context) ([]byte, error)
	// witnessed are the checkpoints that witnesses have cosigned and the source keeps
	// beside the newest, the larger trees first.
	witnessed(ctx context.Context) ([][]byte, error)
	tile(ctx context.Context, path string) ([]byte, error)
	// standing is the receipt_hash of the record at a place of a chain in the log;
	// "" where there is none, or the source cannot tell.
	standing(ctx context.Context, chain string, seq int64) string
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

func (f *logFlags) source() (logSource, error) {
	if !strings.Contains(f.log, "://") {
		if f.token != "" {
			return nil, errors.New("--token-file is for a collector's API, and --log names a directory")
		}
		return mirror(f.log), nil
	}
	base, err := url.Parse(f.log)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("--log %s: want the collector's https://HOST, or a directory", f.log)
	}
	if f.token == "" {
		return nil, errors.New("--log URL needs --token-file, a token of the scope receipts.read")
	}
	token, err := os.ReadFile(f.token)
	if err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	return &logAPI{base: strings.TrimSuffix(f.log, "/"), token: strings.TrimSpace(string(token)), client: &http.Client{Timeout: time.Minute}}, nil
}

// mirror is a directory with a file checkpoint and a directory tile.
type mirror string

func (m mirror) checkpoint(context.Context) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(m), "checkpoint"))
}

// witnessed: the one checkpoint has all that there is.
func (mirror) witnessed(context.Context) ([][]byte, error) { return nil, nil }

// tile takes what it needs of a fuller tile where a mirror has gone on to that.
func (m mirror) tile(_ context.Context, path string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(string(m), "tile", filepath.FromSlash(path)))
	whole, width, partial := strings.Cut(path, ".p/")
	if !errors.Is(err, os.ErrNotExist) || !partial {
		return data, err
	}
	n, _ := strconv.Atoi(width) // the path is of our own making
	if data, err = os.ReadFile(filepath.Join(string(m), "tile", filepath.FromSlash(whole))); err != nil {
		return nil, err
	}
	return data[:min(n*tlog.HashSize, len(data))], nil
}

func (mirror) standing(context.Context, string, int64) string { return "" }

// logAPI is a collector's.
type logAPI struct {
	base, token string
	client      *http.Client
}

// maxLogAnswer bounds an answer: a full tile has 8 KiB, a proof a few.
const maxLogAnswer = 64 << 10

func (a *logAPI) get(ctx context.Context, path string) ([]byte, error) {
	for {
		body, retry, err := a.try(ctx, path)
		if retry == 0 {
			return body, err
		}
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// try asks once. Where the token's budget is used up, it says when to ask again.
func (a *logAPI) try(ctx context.Context, path string) (body []byte, retry time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, http.NoBody)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	answer, err := a.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = answer.Body.Close() }() // read to its end below
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxLogAnswer))
	switch {
	case err != nil:
		return nil, 0, err
	case answer.StatusCode == http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return nil, time.Duration(min(max(seconds, 1), 60)) * time.Second, nil
	case answer.StatusCode != http.StatusOK:
		return nil, 0, fmt.Errorf("%s: %s: %.300s", path, answer.Status, body)
	}
	return body, 0, nil
}

func (a *logAPI) checkpoint(ctx context.Context) ([]byte, error) {
	return a.get(ctx, "/v1/log/checkpoint")
}

func (a *logAPI) witnessed(ctx context.Context) (all [][]byte, err error) {
	body, err := a.get(ctx, "/v1/log/witnesses")
	if err != nil {
		return nil, err
	}
	var list struct {
		Checkpoints []struct {
			Checkpoint string `json:"checkpoint"`
		} `json:"checkpoints"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("/v1/log/witnesses: %w", err)
	}
	for _, c := range list.Checkpoints {
		all = append(all, []byte(c.Checkpoint))
	}
	return all, nil
}

func (a *logAPI) tile(ctx context.Context, path string) ([]byte, error) {
	return a.get(ctx, "/v1/log/tile/"+path)
}

func (a *logAPI) standing(ctx context.Context, chain string, seq int64) string {
	body, err := a.get(ctx, "/v1/log/inclusion?"+url.Values{"chain": {chain}, "seq": {strconv.FormatInt(seq, 10)}}.Encode())
	if err != nil {
		return ""
	}
	var proof struct {
		Hash string `json:"receipt_hash"`
	}
	_ = json.Unmarshal(body, &proof) // "" then
	return proof.Hash
}
