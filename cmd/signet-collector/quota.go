package main

import (
	"context"
	"fmt"
	"math"

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
