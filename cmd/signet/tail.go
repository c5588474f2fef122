package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/receipts"
)

func newTailCommand() *cobra.Command {
	var (
		source sourceFlags
		out    outputFlags
		follow bool
		lines  int64
		from   int64
	)
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show a sidecar's last records, and with --follow what comes",
		Long: `Show the last records of a sidecar's chain: receipts, and the events of the
sidecar itself. A stopped sidecar's journal is read directly, a running one's
through its admin socket. With --json, each record is written as it is stored, so
that the whole chain of a running sidecar can be verified:

  signet tail --from 1 --json | signet verify -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if lines < 0 || from < 0 {
				return exit(exitUnusable, errors.New("--lines and --from must not be negative"))
			}
			records, err := source.open(cmd)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, records.close()) }()
			if !cmd.Flags().Changed("from") {
				head, err := records.head(cmd.Context())
				if err != nil {
					return err
				}
				from = head - lines + 1
			}
			p, err := out.printer(cmd.OutOrStdout(), follow)
			if err != nil {
				return err
			}
			if err := records.each(cmd.Context(), max(from, 1), follow, p.print); err != nil {
				return err
			}
			if follow {
				_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "signet: no sidecar runs there: nothing follows") // to tell, not to fail
			}
			return p.flush()
		},
	}
	source.register(cmd)
	out.register(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new records until the sidecar stops")
	cmd.Flags().Int64VarP(&lines, "lines", "n", 20, "how many records to begin with")
	cmd.Flags().Int64Var(&from, "from", 0, "begin with the record of this seq, instead of --lines")
	return cmd
}

// outputFlags say how records are written.
type outputFlags struct{ json bool }

func (f *outputFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.json, "json", false, "write records as JSON lines, exactly as they are stored")
}

// printer writes the records that match, as a table or as they are.
type printer struct {
	out   *bufio.Writer
	table *recordTable // nil for JSON
	live  bool         // each record is written at once
	match func(receipts.Record) bool
	count int64
}

func (f *outputFlags) printer(w io.Writer, live bool) (*printer, error) {
	p := &printer{out: bufio.NewWriter(w), live: live, match: func(receipts.Record) bool { return true }}
	if f.json {
		return p, nil
	}
	p.table = &recordTable{w: p.out, style: styleOf(w)}
	return p, p.table.header()
}

func (p *printer) print(line []byte) error {
	r, err := receipts.Decode(line)
	if err != nil {
		return fmt.Errorf("a record cannot be read (signet verify says more): %w", err)
	}
	if !p.match(r) {
		return nil
	}
	p.count++
	if p.table != nil {
		err = p.table.row(r)
	} else {
		_, err = fmt.Fprintf(p.out, "%s\n", line)
	}
	if err == nil && p.live {
		err = p.out.Flush()
	}
	return err
}

func (p *printer) flush() error { return p.out.Flush() }
