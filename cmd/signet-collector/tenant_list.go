package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/collector/store"
)

func newTenantListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "list", Short: "List tenants, what they keep and may keep", Args: cobra.NoArgs}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return withStore(cmd, func(ctx context.Context, kept store.Store, _ []string) error {
		if asJSON {
			out := json.NewEncoder(cmd.OutOrStdout())
			return eachTenant(ctx, kept, func(t tenantLine) error { return out.Encode(t) })
		}
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		_, _ = io.WriteString(table, "TENANT\tCREATED\tSTORED\tQUOTA\tRETENTION\tREMOVED BEFORE\n") // table keeps its first error for Flush
		err := eachTenant(ctx, kept, func(t tenantLine) error {
			quota := quotaFlag(t.Quota)
			_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Name, t.Created.Format(time.RFC3339), humanize.Bytes(uint64(max(t.Stored, 0))), &quota,
				formatRetention(t.Months), day(t.Removed))
			return err
		})
		if err != nil {
			return err
		}
		return table.Flush()
	})
}

// tenantLine is a tenant as it is listed.
type tenantLine struct {
	Name    string    `json:"tenant"`
	Created time.Time `json:"created"`
	Stored  int64     `json:"stored_bytes"`
	Quota   int64     `json:"quota_bytes"`             // 0: none
	Months  int       `json:"retention_months"`        // 0: for ever
	Removed time.Time `json:"removed_before,omitzero"` // records from before it were; absent: none were
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateOnly)
}

func eachTenant(ctx context.Context, kept store.Store, f func(tenantLine) error) error {
	return store.EachTenant(ctx, kept, func(t store.Tenant) error {
		stored, err := kept.Stored(ctx, t.Name)
		if err != nil {
			return err
		}
		retention, err := kept.Retention(ctx, t.Name)
		if err != nil {
			return err
		}
		return f(tenantLine{Name: t.Name, Created: t.Created.UTC(), Stored: stored.Bytes, Quota: stored.Quota, Months: retention.Months, Removed: retention.Before})
	})
}
