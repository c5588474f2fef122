package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

func newVerifyCommand() *cobra.Command {
	var (
		jwks   string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "verify PATH...",
		Short: "Verify a chain of records offline",
		Long: `Verify records offline: canonical form, hashes, signatures, chain and hop links.
A PATH is the data directory of a sidecar that does not run, or a file of records
as JSON lines; - reads standard input. Paths with records of one chain must
continue each other in the order given.

Without --jwks the signing key is taken from the chain's genesis on trust: that
proves that nobody without the key changed anything, but not whose key it is.

The exit status is 0 if all is good, 1 if not, with the first bad record named,
and 2 if there is nothing to verify or it cannot be read.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exit(exitUnusable, errors.New("verify needs a PATH: a data directory, a file of records, or - for standard input"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := readKeySet(jwks)
			if err != nil {
				return exit(exitUnusable, err)
			}
			c := &verification{cmd: cmd, keys: keys, chains: make(map[string]*receipts.Verifier)}
			for _, path := range args {
				if err := c.path(path); err != nil {
					return c.refuse(err, asJSON)
				}
			}
			return c.report(cmd.OutOrStdout(), jwks, asJSON)
		},
	}
	cmd.Flags().StringVar(&jwks, "jwks", "", "trust only the keys of this JWKS file, and those that they introduce")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the answer as JSON, one object a chain")
	return cmd
}

// readKeySet reads a JWKS file; "" is none.
func readKeySet(path string) (*receipts.KeySet, error) {
	if path == "" {
		return nil, nil
	}
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
	chains map[string]*receipts.Verifier // by the chain id that the first record claims
	order  []*receipts.Verifier
}

// badRecord is the first record that is not good.
type badRecord struct {
	path string
	line int64 // of a file; 0 in a data directory
	err  *receipts.VerifyError
}

func (e *badRecord) Error() string {
	place := e.path
	if e.line > 0 {
		place = fmt.Sprintf("%s:%d", e.path, e.line)
	}
	return fmt.Sprintf("not verified: %s: %v", printable(place), printable(e.err.Error()))
}

func (e *badRecord) Unwrap() error { return e.err }

// path verifies one argument. Its error is a *badRecord, or says why the path
// cannot be read.
func (c *verification) path(path string) error {
	if path == "-" {
		return c.lines("standard input", c.cmd.InOrStdin())
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
	return c.lines(path, f)
}

func (c *verification) lines(path string, r io.Reader) error {
	var n int64
	return c.records(path, &n, func(fn func([]byte) error) error {
		return eachLine(r, func(line []byte) error {
			n++
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
	var inFile int64
	return c.records(dir, &inFile, func(fn func([]byte) error) error {
		return reader.Range(c.cmd.Context(), 1, func(_ int64, line []byte) error { return fn(line) })
	})
}

// records verifies what each gives; line is where it is in a file by then.
func (c *verification) records(path string, line *int64, each func(func([]byte) error) error) error {
	var v *receipts.Verifier
	err := each(func(record []byte) error {
		if v == nil {
			v = c.verifier(record)
		}
		err := v.Add(record)
		var bad *receipts.VerifyError
		if errors.As(err, &bad) {
			return &badRecord{path: path, line: *line, err: bad}
		}
		return err
	})
	if err == nil && v == nil {
		err = receipts.ErrNoRecords
	}
	var bad *badRecord
	if err == nil || errors.As(err, &bad) {
		return err
	}
	return fmt.Errorf("reading %s: %w", path, err)
}

// verifier is the one of the chain that the first record of a path claims to be
// of. What it claims is checked there.
func (c *verification) verifier(record []byte) *receipts.Verifier {
	var claim struct {
		Chain struct {
			ID string `json:"id"`
		} `json:"chain"`
	}
	_ = json.Unmarshal(record, &claim) // "" then; the verifier says what is wrong
	v, ok := c.chains[claim.Chain.ID]
	if !ok {
		v = receipts.NewVerifier(c.keys)
		c.chains[claim.Chain.ID] = v
		c.order = append(c.order, v)
	}
	return v
}

// chainAnswer is the answer as JSON.
type chainAnswer struct {
	Verified     bool   `json:"verified"`
	Chain        string `json:"chain"`
	Receipts     int64  `json:"receipts"`
	Records      int64  `json:"records"`
	First        int64  `json:"first_seq"`
	Last         int64  `json:"last_seq"`
	Head         string `json:"head"`
	KID          string `json:"kid"`
	Pinned       bool   `json:"pinned"`
	Anchored     bool   `json:"anchored"`
	CleanStop    bool   `json:"clean_stop"`
	Withheld     int64  `json:"details_withheld"`
	Recoveries   int64  `json:"recoveries"`
	Lost         int64  `json:"records_lost"`
	HopsUnproved int64  `json:"hops_unproved"`
}

// refusal is the answer as JSON for a bad record.
type refusal struct {
	Verified bool           `json:"verified"`
	Path     string         `json:"path"`
	Line     int64          `json:"line,omitempty"`
	Seq      int64          `json:"seq"`
	Cause    receipts.Cause `json:"cause"`
	Error    string         `json:"error"`
}

func (c *verification) refuse(err error, asJSON bool) error {
	var bad *badRecord
	if !errors.As(err, &bad) {
		return exit(exitUnusable, err)
	}
	if !asJSON {
		return err
	}
	return errors.Join(err, json.NewEncoder(c.cmd.OutOrStdout()).Encode(refusal{
		Path: bad.path, Line: bad.line, Seq: bad.err.Seq, Cause: bad.err.Cause, Error: bad.err.Err.Error(),
	}))
}

func (c *verification) report(w io.Writer, jwks string, asJSON bool) error {
	for _, v := range c.order {
		r, err := v.Result()
		if err != nil {
			return err
		}
		if asJSON {
			err = json.NewEncoder(w).Encode(chainAnswer{
				Verified: true, Chain: r.ChainID, Receipts: r.Receipts, Records: r.Records, First: r.First, Last: r.Last, Head: r.Head,
				KID: r.TrustedKID, Pinned: r.Pinned, CleanStop: r.CleanStop, Withheld: r.Withheld, Recoveries: r.Recoveries, Lost: r.Lost, HopsUnproved: r.HopsUnproved,
			})
		} else {
			_, err = io.WriteString(w, describe(&r, jwks))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// describe says what was verified, and as plainly what that does not prove.
func describe(r *receipts.Result, jwks string) string {
	s := verifiedLine(r) + "\n"
	if r.Pinned {
		s += fmt.Sprintf("key: %s, pinned by %s\n", r.TrustedKID, jwks)
	} else {
		s += fmt.Sprintf("key: %s, taken on trust from the genesis; pin it with --jwks\n", r.TrustedKID)
	}
	end := "no clean stop"
	if r.CleanStop {
		end = "clean stop"
	}
	s += fmt.Sprintf("end: %s; not anchored, so that records cut off the end would not show\n", end)
	if r.Recoveries > 0 {
		s += fmt.Sprintf("loss: an operator had the chain go on %d times after a loss; %d records are missing there\n", r.Recoveries, r.Lost)
	}
	if r.Withheld > 0 {
		s += fmt.Sprintf("details: %d withheld\n", r.Withheld)
	}
	if r.HopsUnproved > 0 {
		s += fmt.Sprintf("hops: not proved for the first hop of %d traces, since the records start at seq %d\n", r.HopsUnproved, r.First)
	}
	return s
}
