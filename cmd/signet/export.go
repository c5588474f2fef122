package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/signet-egress/signet/receipts/bundle"
	"github.com/signet-egress/signet/receipts/journal"
)

func newExportCommand() *cobra.Command {
	var (
		source   sourceFlags
		from, to string
		filter   bundle.Filter
		profile  string
		output   string
	)
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Export a part of the chain as one signed bundle",
		Long: `Write the records of a range as one signed zip file, which signet verify checks
offline. A stopped sidecar's journal is read directly, a running one's through its
admin socket; the bundle is signed with the sidecar's key, which is read from its
data directory.

--from and --to are sequence numbers, both included, or times: a date
(2026-11-01, midnight UTC) or RFC 3339; --from is included then and --to is not,
so that --from 2026-11-01 --to 2026-12-01 is November.

The chain must stay whole, so that every record of the range is there. --agent
and --trace withhold the details of all other receipts, and --profile core those
of all.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			x := &exporting{cmd: cmd, source: &source, output: output}
			x.options = bundle.Options{Build: version(), Created: time.Now(), Profile: bundle.Profile(profile), Filter: filter}
			if x.options.Profile != bundle.Full && x.options.Profile != bundle.Core {
				return exit(exitUnusable, fmt.Errorf("--profile %s: not one of full, core", profile))
			}
			var err error
			if x.from, err = parseBound("--from", from); err == nil {
				x.to, err = parseBound("--to", to)
			}
			if err != nil {
				return exit(exitUnusable, err)
			}
			return x.run()
		},
	}
	source.register(cmd)
	cmd.Flags().StringVar(&from, "from", "", "first record: a seq, a date or a time (default: the chain's first)")
	cmd.Flags().StringVar(&to, "to", "", "last record: a seq, or the date or time before which it stands (default: the chain's last)")
	cmd.Flags().StringVar(&filter.Agent, "agent", "", "withhold the details of other agents' receipts")
	cmd.Flags().StringVar(&filter.Trace, "trace", "", "withhold the details of other traces' receipts")
	cmd.Flags().StringVar(&profile, "profile", string(bundle.Full), "full, or core to withhold every detail")
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write (default: standard output)")
	return cmd
}

// exporting is one run.
type exporting struct {
	cmd      *cobra.Command
	source   *sourceFlags
	from, to bound
	output   string
	options  bundle.Options
	records  recordSource
}

func (x *exporting) run() (err error) {
	if x.records, err = x.source.open(x.cmd); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.records.close()) }()
	first, last, err := x.resolve(x.cmd.Context())
	if err != nil {
		return err
	}
	if err := x.identity(x.cmd.Context()); err != nil {
		return err
	}
	var m *bundle.Manifest
	err = x.write(func(w io.Writer) (err error) {
		m, err = x.export(w, first, last)
		return err
	})
	if errors.Is(err, bundle.ErrEmpty) {
		return exit(exitUnusable, fmt.Errorf("export: %w", err))
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	_, _ = fmt.Fprintf(x.cmd.ErrOrStderr(), "exported: %d receipts, chain %s, seq %d-%d, %d details withheld\n",
		m.ReceiptCount, m.Chain, m.First.Seq, m.Last.Seq, m.DetailsWithheld) // to tell, not to fail
	if m.Filter != nil && m.Profile == bundle.Full && m.DetailsWithheld == m.ReceiptCount {
		_, _ = fmt.Fprintln(x.cmd.ErrOrStderr(), "signet: no receipt matches, so that every detail is withheld") // likewise
	}
	return nil
}

// identity finds out whose chain it is, and the key that signs it.
func (x *exporting) identity(ctx context.Context) error {
	c, _, err := x.source.load(x.cmd)
	if err != nil {
		return err
	}
	x.options.Tenant = c.Tenant
	if x.options.Keys, err = x.records.keys(ctx); err != nil {
		return err
	}
	if x.options.Checkpoints, err = journal.ReadCheckpoints(c.Data); err != nil {
		return err
	}
	files, err := journal.OpenKey(c.Data, c.Key)
	if err != nil {
		return exit(exitUnusable, fmt.Errorf("the bundle must be signed: %w", err))
	}
	signs := x.options.Keys[len(x.options.Keys)-1]
	for _, key := range []ed25519.PrivateKey{files.Key, files.Next} {
		if key != nil && signs.PublicKey.Equal(key.Public()) {
			x.options.Key = key
			return nil
		}
	}
	return exit(exitUnusable, fmt.Errorf("the bundle must be signed with the chain's key %s, which is not the one in the data directory or in key", signs.KID))
}

func (x *exporting) export(w io.Writer, first, last int64) (*bundle.Manifest, error) {
	bar := newProgress(x.cmd, "exporting", last-first+1)
	defer bar.done()
	return bundle.Export(w, x.options, func(add func([]byte) error) error {
		return x.each(x.cmd.Context(), first, last, func(line []byte) error {
			bar.add(1)
			return add(line)
		})
	})
}

// errEnough ends the reading of records.
var errEnough = errors.New("enough")

// each calls fn with the records first..last.
func (x *exporting) each(ctx context.Context, first, last int64, fn func(line []byte) error) error {
	if first > last {
		return nil
	}
	err := x.records.each(ctx, first, false, func(line []byte) error {
		if bundle.Seq(line) > last {
			return errEnough
		}
		return fn(line)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// write hands out where to write to. A file is there whole or not at all.
func (x *exporting) write(fn func(io.Writer) error) (err error) {
	if x.output == "" || x.output == "-" {
		out := x.cmd.OutOrStdout()
		if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return exit(exitUnusable, errors.New("a bundle is a zip file, not for a terminal: use --output FILE"))
		}
		buffered := bufio.NewWriter(out)
		return cmp.Or(fn(buffered), buffered.Flush())
	}
	f, err := os.CreateTemp(filepath.Dir(x.output), ".export-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	err = cmp.Or(fn(buffered), buffered.Flush(), f.Sync(), f.Close()) // the first says why
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), x.output)
}
