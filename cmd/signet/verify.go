package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/bundle"
	"github.com/signet-egress/signet/receipts/checkpoint"
	"github.com/signet-egress/signet/receipts/journal"
	"github.com/signet-egress/signet/receipts/logproof"
)

func newVerifyCommand() *cobra.Command {
	var (
		jwks        []string
		checkpoints string
		log         logFlags
		witness     witnessFlags
		asJSON      bool
	)
	cmd := &cobra.Command{
		Use:   "verify PATH...",
		Short: "Verify a bundle or a chain of records offline",
		Long: `Verify records offline: canonical form, hashes, signatures, chain and hop links.
A PATH is a bundle that signet export has made, the data directory of a sidecar
that does not run, or a file of records as JSON lines; - reads such lines from
standard input. Paths with records of one chain must continue each other in the
order given; a bundle stands for itself, and its manifest is verified too.

Without --jwks the signing key is taken on trust from the bundle, or from the
chain's genesis: that proves that nobody without the key changed anything, but
not whose key it is.

Records cut off the end of a chain, or all of it written anew with the key, show
against checkpoints: those beside a journal, which are always looked at, and those
that were kept elsewhere, of any of the chains, in the file of --checkpoints.

With --log every record must be in a collector's log too. It is read from the
collector's API, or from a directory with a file checkpoint and a directory tile
(C2SP tlog-tiles), and held against the newest checkpoint, which must be signed by
--log-key. With --log-checkpoint the log must extend the checkpoint in that file,
which the newest then takes the place of.

With --witness, or --witness-policy, the log's checkpoint must be cosigned by
witnesses too (C2SP tlog-cosignature), so that its collector cannot show others
another log. That is the checkpoint of --log, or else the one that each bundle
carries; records that are logged, but after what is cosigned, are refused.

The exit status is 0 if all is good, 1 if not, with the first bad record named,
and 2 if there is nothing to verify or it cannot be read.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exit(exitUnusable, errors.New("verify needs a PATH: a bundle, a data directory, a file of records, or - for standard input"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := readKeySets(jwks)
			if err != nil {
				return exit(exitUnusable, err)
			}
			c := &verification{cmd: cmd, keys: keys, chains: make(map[string]*heldChain)}
			if err := c.readCheckpoints(checkpoints); err != nil {
				return exit(exitUnusable, err)
			}
			if c.policy, err = witness.read(); err != nil {
				return exit(exitUnusable, err)
			}
			if c.log, err = log.readLog(cmd.Context(), c.policy); err != nil {
				return c.refuse(err, asJSON)
			}
			for _, path := range args {
				if err := c.path(path); err != nil {
					return c.refuse(err, asJSON)
				}
			}
			if err := c.holdChains(); err != nil {
				return c.refuse(err, asJSON)
			}
			return c.report(cmd.OutOrStdout(), strings.Join(jwks, ", "), asJSON)
		},
	}
	cmd.Flags().StringArrayVar(&jwks, "jwks", nil, "trust only the keys of this JWKS file, and those that they introduce; may be given several times")
	cmd.Flags().StringVar(&checkpoints, "checkpoints", "", "hold the chains against the checkpoints in this file too")
	cmd.Flags().StringVar(&log.log, "log", "", "want every record in this log: the URL of a collector, or a directory")
	cmd.Flags().StringVar(&log.key, "log-key", "", "verifier key of the log, as the collector has it at /v1/log/key")
	cmd.Flags().StringVar(&log.token, "token-file", "", "file of the token, of scope receipts.read, that the collector's API is read with")
	cmd.Flags().StringVar(&log.remembered, "log-checkpoint", "", "file of the log's checkpoint of the last time, which it must extend")
	witness.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the answer as JSON, one object a bundle or chain")
	return cmd
}

// readKeySets reads JWKS files; nil for none.
func readKeySets(paths []string) (*receipts.KeySet, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	sets := make([]*receipts.KeySet, len(paths))
	for i, path := range paths {
		var err error
		if sets[i], err = readKeySet(path); err != nil {
			return nil, err
		}
	}
	return receipts.Union(sets...), nil
}

func readKeySet(path string) (*receipts.KeySet, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the key set: %w", err)
	}
	keys, err := receipts.ParseJWKS(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// verification is one run over all paths.
type verification struct {
	cmd    *cobra.Command
	keys   *receipts.KeySet
	kept   []checkpoint.Note     // outside of the data directories
	log    *heldLog              // nil: not asked for
	policy *logproof.Policy      // of the log's witnesses; nil: not asked for
	chains map[string]*heldChain // by the chain id that the first record claims
	found  []found
}

// path verifies one argument. Its error is a *refused, or says why the path
// cannot be read.
func (c *verification) path(path string) error {
	if path == "-" {
		return c.stream("standard input", c.cmd.InOrStdin(), newProgress(c.cmd, "verifying", -1))
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return c.directory(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	if isBundle(f) {
		return c.bundle(path, f, info.Size())
	}
	return c.stream(path, f, newProgress(c.cmd, "verifying", info.Size()))
}

// isBundle looks at the first bytes and goes back to them.
func isBundle(f *os.File) bool {
	var start [bundle.MagicLen]byte
	_, err := f.ReadAt(start[:], 0)
	return err == nil && bundle.IsBundle(start[:])
}

// stream verifies records as JSON lines.
func (c *verification) stream(path string, r io.Reader, bar *progress) error {
	defer bar.done()
	start := bufio.NewReader(r)
	if magic, _ := start.Peek(bundle.MagicLen); bundle.IsBundle(magic) {
		return fmt.Errorf("%s: a bundle cannot be verified as it comes, since its manifest stands at the end: save it as a file, and verify that", path)
	}
	return c.records(path, nil, func(fn func([]byte) error) error {
		return receipts.EachLine(start, func(line []byte) error {
			bar.add(len(line) + 1)
			return fn(line)
		})
	})
}

func (c *verification) directory(dir string) (err error) {
	reader, err := journal.OpenReader(dir)
	if err != nil {
		var locked *journal.LockedError
		if errors.As(err, &locked) {
			return fmt.Errorf("%w; the chain of a running sidecar is verified by: signet tail --data %s --from 1 --json | signet verify -", err, dir)
		}
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	notes, err := journal.ReadCheckpoints(dir)
	if err != nil {
		return err
	}
	ack, err := c.readAck(dir)
	if err != nil {
		return err
	}
	bar := newProgress(c.cmd, "verifying", reader.Head().Seq)
	defer bar.done()
	return c.records(dir, &besideJournal{notes, ack}, func(fn func([]byte) error) error {
		return reader.Range(c.cmd.Context(), 1, func(_ int64, line []byte) error {
			bar.add(1)
			return fn(line)
		})
	})
}

// besideJournal is what a sidecar keeps beside its journal.
type besideJournal struct {
	notes []checkpoint.Note
	ack   *heldAck // nil: none
}

// records verifies what each gives, with what stands beside it if it is a journal,
// else one record a line.
func (c *verification) records(path string, beside *besideJournal, each func(func([]byte) error) error) error {
	if c.policy != nil && c.log == nil {
		return fmt.Errorf("%s: witnesses cosign logs, and of these no checkpoint is here: name the log with --log", path)
	}
	var (
		p      *receipts.Pipeline
		before int64 // records of the chain in the paths before
	)
	err := each(func(record []byte) error {
		if p == nil {
			v := c.chain(record)
			v.begin(c.cmd.Context(), path, notesOf(c.kept, v.id), beside)
			before = v.Records()
			p = v.Pipeline()
		}
		return p.Add(record)
	})
	if p != nil {
		if bad := p.Close(); bad != nil {
			err = bad
		}
	} else if err == nil {
		err = receipts.ErrNoRecords
	}
	bad, ok := errors.AsType[*receipts.VerifyError](err)
	switch {
	case err == nil:
		return nil
	case !ok:
		return fmt.Errorf("reading %s: %w", path, err)
	case beside != nil:
		return badRecord(path, 0, bad)
	}
	return badRecord(path, bad.Record-before, bad)
}

func (c *verification) bundle(path string, f *os.File, size int64) error {
	reader, err := bundle.Open(f, size)
	if err == nil {
		bar := newProgress(c.cmd, "verifying", reader.Size())
		var r bundle.Result
		held := newHeld(path, c.kept, reader.Manifest())
		if held.log = c.log; c.log == nil {
			reader.Demand(c.policy)
		}
		reader.Observe(func(r receipts.Record) { held.see(c.cmd.Context(), r) })
		r, err = reader.Verify(c.keys, bar.add)
		bar.done()
		c.found = append(c.found, found{bundle: &r, keys: reader.Keys(), held: held})
	}
	var (
		bad  *receipts.VerifyError
		made *bundle.Error
	)
	switch {
	case errors.As(err, &bad):
		return badRecord(path, 0, bad)
	case errors.As(err, &made):
		return &refused{path: path, cause: made.Cause, err: made.Err, text: made.Error()}
	case err != nil:
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

// chain is the one that the first record of a path claims to be of. What it
// claims is checked by its verifier.
func (c *verification) chain(record []byte) *heldChain {
	var claim struct {
		Chain struct {
			ID string `json:"id"`
		} `json:"chain"`
	}
	_ = json.Unmarshal(record, &claim) // "" then; the verifier says what is wrong
	v, ok := c.chains[claim.Chain.ID]
	if !ok {
		v = &heldChain{Verifier: receipts.NewVerifier(c.keys), id: claim.Chain.ID, held: &held{log: c.log}}
		c.chains[claim.Chain.ID] = v
		c.found = append(c.found, found{chain: v.Verifier, held: v.held})
	}
	return v
}
