package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/sidecar"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

func newJournalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "journal", Short: "Look after a sidecar's journal: its state, its sealed files, what it proves", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return exit(exitUnusable, errors.New("journal needs a command: stat, check, seal or recover"))
		},
	}
	cmd.AddCommand(newJournalStatCommand(), newJournalCheckCommand(), newJournalSealCommand(), newJournalRecoverCommand())
	return cmd
}

func newJournalStatCommand() *cobra.Command {
	return newStateCommand(journalStat, &cobra.Command{
		Use:   "stat",
		Short: "Show what a sidecar's journal holds, and the disk that it takes",
		Long: `Show what a sidecar's journal holds: the chain and its head, how many records are
in the database and in sealed files, what was pruned and what a collector has, and
the disk that it takes of its budget. A stopped sidecar's journal is read
directly, a running one is asked through its admin socket.`,
	})
}

// newStateCommand completes a command that shows a journal's state as stat gives
// it.
func newStateCommand(stat func(context.Context, *config.Config, bool) (journal.Stat, error), cmd *cobra.Command) *cobra.Command {
	var (
		source sourceFlags
		asJSON bool
	)
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, named, err := source.load(cmd)
		if err != nil {
			return err
		}
		st, err := stat(cmd.Context(), c, named)
		if err != nil {
			return err
		}
		return showStat(cmd.OutOrStdout(), &st, asJSON)
	}
	source.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func journalStat(ctx context.Context, c *config.Config, named bool) (st journal.Stat, err error) {
	reader, err := journal.OpenReader(c.Data)
	if err != nil {
		return askStat(ctx, c, named, err, http.MethodGet, "/v1/journal")
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	return reader.Stat(ctx, sidecar.JournalLimits(c))
}

// askStat has the sidecar that runs answer, where opening its journal failed with
// because.
func askStat(ctx context.Context, c *config.Config, named bool, because error, method, path string) (st journal.Stat, err error) {
	r, err := dialRunning(c, named, because)
	if err != nil {
		return st, err
	}
	err = r.ask(ctx, method, path, nil, func(body io.Reader) error {
		if err := json.NewDecoder(io.LimitReader(body, receipts.MaxLine)).Decode(&st); err != nil {
			return fmt.Errorf("reading the sidecar's answer: %w", err)
		}
		return nil
	})
	return st, errors.Join(err, r.close())
}

func newJournalSealCommand() *cobra.Command {
	return newStateCommand(sealJournal, &cobra.Command{
		Use:   "seal",
		Short: "Move a sidecar's records into sealed files now",
		Long: `Move all records but the newest from the database into sealed files, and remove
what retention no longer asks for, without waiting for the size or the age at
which a sidecar does so by itself: before a backup, or to see that it works. Then
show the state, as signet journal stat does. A running sidecar does it without a
pause.`,
	})
}

func sealJournal(ctx context.Context, c *config.Config, named bool) (journal.Stat, error) {
	if err := journal.SealStopped(ctx, c.Data, sidecar.JournalLimits(c)); err != nil {
		return askStat(ctx, c, named, err, http.MethodPost, "/v1/journal/seal")
	}
	return journalStat(ctx, c, false)
}

func showStat(w io.Writer, st *journal.Stat, asJSON bool) error {
	if asJSON {
		return writeJSON(w, st)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(table, name+"\t"+format+"\n", args...) // table keeps its first error for Flush
	}
	row("chain", "%s", st.Chain)
	row("head", "seq %d of %s, %s", st.Seq, stamp(st.Newest), st.Head)
	row("oldest", "seq %d of %s", st.FirstSeq, stamp(st.Oldest))
	row("database", "%s, %s on the disk", plural(st.Database.Records, "record"), inBytes(st.Database.Bytes))
	row("sealed", "%s in %s, %s on the disk", plural(st.Sealed.Records, "record"), plural(int64(st.Sealed.Files), "file"), inBytes(st.Sealed.Bytes))
	if st.Sealed.Lost > 0 {
		row("lost", "%s of files that are given up for lost", plural(st.Sealed.Lost, "record"))
	}
	row("open", "%s", plural(int64(st.OpenIntents), "exchange"))
	if st.AckedSeq > 0 {
		row("collector", "has the chain to seq %d", st.AckedSeq)
	} else {
		row("collector", "none has acknowledged anything")
	}
	if st.Waiting != "" {
		row("shipping", "stands still: %s", printable(st.Waiting))
	}
	row("disk", "%s; warns from %s, and denies egress from %s on", inBytes(st.Disk.Used), inBytes(st.Disk.HighWater), inBytes(st.Disk.HardMark))
	if st.Unavailable != "" {
		row("egress", "denied: %s", printable(st.Unavailable))
	}
	return table.Flush()
}

// inBytes is a size in the unit that leaves one to three digits before the point.
func inBytes(n int64) string {
	units := []string{"kB", "MB", "GB", "TB", "PB"}
	if n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	tenths, unit := n/100, units[0]
	for _, next := range units[1:] {
		if tenths < 10_000 {
			break
		}
		tenths, unit = tenths/1000, next
	}
	return fmt.Sprintf("%d.%d %s", tenths/10, tenths%10, unit)
}
