package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/collector/store"
)

// noQuota is how a tenant without a limit is written.
const noQuota = "none"

// quotaFlag is a number of bytes, such as 10GiB or 500MB; 0 for none.
type quotaFlag int64

// Set implements pflag.Value.
func (q *quotaFlag) Set(text string) error {
	if text == noQuota {
		*q = 0
		return nil
	}
	bytes, err := humanize.ParseBytes(text)
	if err != nil || bytes == 0 || bytes > math.MaxInt64 {
		return fmt.Errorf("%q is not a size such as 500MB or 10GiB, nor %s", text, noQuota)
	}
	*q = quotaFlag(bytes)
	return nil
}

// String implements pflag.Value. IEC units where they are exact, since quotas are
// given in them.
func (q *quotaFlag) String() string {
	switch bytes := uint64(*q); {
	case bytes == 0:
		return noQuota
	case bytes%humanize.MiByte == 0:
		return humanize.IBytes(bytes)
	default:
		return humanize.Bytes(bytes)
	}
}

// Type implements pflag.Value.
func (*quotaFlag) Type() string { return "size" }

func newTenantQuotaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "quota NAME SIZE|none", Short: "Set what a tenant may keep", Args: cobra.ExactArgs(2),
		Long: `Set how many bytes of records a tenant may keep, such as 500MB or 10GiB, or none for
no limit. It holds from the next batch on, in all replicas. What is stored stays,
be it more; what would be more waits at the tenant's sidecars, and is taken within
minutes when there is room.`,
	}
	return withStore(cmd, func(ctx context.Context, kept store.Store, args []string) error {
		var quota quotaFlag
		if err := quota.Set(args[1]); err != nil {
			return &unusableError{err}
		}
		return tenantError(args[0], kept.SetQuota(ctx, args[0], int64(quota)))
	})
}

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
	for after := ""; ; {
		tenants, err := kept.Tenants(ctx, after, 1000)
		if err != nil || len(tenants) == 0 {
			return err
		}
		for _, t := range tenants {
			stored, err := kept.Stored(ctx, t.Name)
			if err != nil {
				return err
			}
			retention, err := kept.Retention(ctx, t.Name)
			if err != nil {
				return err
			}
			line := tenantLine{Name: t.Name, Created: t.Created.UTC(), Stored: stored.Bytes, Quota: stored.Quota, Months: retention.Months, Removed: retention.Before}
			if err := f(line); err != nil {
				return err
			}
			after = t.Name
		}
	}
}
