package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/collector/retention"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/lifecycle"
)

// prunedLine is what was removed of a tenant's, or would be.
type prunedLine struct {
	Tenant  string    `json:"tenant"`
	Months  int       `json:"retention_months"`
	Before  time.Time `json:"before"`
	Chains  int64     `json:"chains"`
	Records int64     `json:"records"`
	Bytes   int64     `json:"bytes"`
	DryRun  bool      `json:"dry_run"`
}

func newPruneCommand() *cobra.Command {
	var dryRun, asJSON bool
	cmd := &cobra.Command{
		Use: "prune [TENANT]", Short: "Remove the records that were kept for long enough", Args: cobra.MaximumNArgs(1),
		Long: `Remove the records of all tenants, or of one, that were kept for as long as
signet-collector tenant retention says. In PostgreSQL it needs the owner of the
tables. It may be interrupted at any time: the next run goes on from there.`,
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "remove nothing, and show what would go")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return withStore(cmd, func(ctx context.Context, kept store.Store, args []string) error {
		ctx, stop := lifecycle.UntilSignal(ctx)
		defer stop()
		bar := newProgress(cmd, "records")
		pruner := &retention.Pruner{Store: kept, Now: time.Now, Rehearse: dryRun, Progress: bar.add}
		sums, err := prune(ctx, pruner, args)
		bar.done()
		if err == nil && len(sums) == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "nothing is to go: records are kept for ever, unless signet-collector tenant retention says otherwise")
		}
		return errors.Join(err, writePruned(cmd, sums, dryRun, asJSON))
	})
}

// prune removes what is to go of the tenant that is named, or of all. What it returns
// is gone, be there an error or not.
func prune(ctx context.Context, pruner *retention.Pruner, args []string) (sums []retention.Sum, err error) {
	if len(args) == 1 {
		sum, err := pruner.Tenant(ctx, args[0])
		if errors.Is(err, store.ErrNotFound) {
			return nil, tenantError(args[0], err)
		}
		if sum.Months == 0 {
			return nil, err
		}
		if err == nil && !pruner.Rehearse {
			err = pruner.Store.Reclaim(ctx, sum.Before)
		}
		return []retention.Sum{sum}, err
	}
	err = pruner.All(ctx, func(sum retention.Sum) error {
		sums = append(sums, sum)
		return nil
	})
	return sums, err
}

func writePruned(cmd *cobra.Command, sums []retention.Sum, dryRun, asJSON bool) error {
	if len(sums) == 0 {
		return nil
	}
	if asJSON {
		out := json.NewEncoder(cmd.OutOrStdout())
		for _, s := range sums {
			if err := out.Encode(prunedLine{s.Tenant, s.Months, s.Before, s.Chains, s.Records, s.Bytes, dryRun}); err != nil {
				return err
			}
		}
		return nil
	}
	if dryRun {
		fmt.Fprintln(cmd.ErrOrStderr(), "would remove, without --dry-run:")
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	_, _ = io.WriteString(table, "TENANT\tRETENTION\tBEFORE\tCHAINS\tRECORDS\tBYTES\n") // table keeps its first error for Flush
	for _, s := range sums {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Tenant, formatRetention(s.Months), s.Before.Format(time.DateOnly),
			humanize.Comma(s.Chains), humanize.Comma(s.Records), humanize.Bytes(uint64(max(s.Bytes, 0))))
	}
	return table.Flush()
}
