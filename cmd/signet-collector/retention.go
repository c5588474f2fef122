package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/collector/store"
)

// forEver is how a retention without an end is written.
const forEver = "none"

// maxMonths is more than anybody has to keep anything for.
const maxMonths = 1200

// parseRetention reads a number of months, such as 13mo; 0 for none.
func parseRetention(text string) (int, error) {
	if text == forEver {
		return 0, nil
	}
	number, ok := strings.CutSuffix(text, "mo")
	months, err := strconv.Atoi(number)
	if !ok || err != nil || months < 1 || months > maxMonths {
		return 0, fmt.Errorf("%q is not a number of months from 1mo to %dmo, nor %s", text, maxMonths, forEver)
	}
	return months, nil
}

func formatRetention(months int) string {
	if months == 0 {
		return forEver
	}
	return strconv.Itoa(months) + "mo"
}

func newTenantRetentionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retention NAME MONTHS|none", Short: "Set for how long a tenant's records are kept", Args: cobra.ExactArgs(2),
		Long: `Set for how many whole months a tenant's records are kept beside the current one,
such as 13mo, or none for ever. What was kept for longer, counted from when it was
made and from when it came, is removed by signet-collector prune, and by serve where
it works as the owner of the tables; with SQLite, it always does. Only that owner may
set this. signet-collector prune --dry-run shows what would go.`,
	}
	return withStore(cmd, func(ctx context.Context, kept store.Store, args []string) error {
		months, err := parseRetention(args[1])
		if err != nil {
			return &unusableError{err}
		}
		return tenantError(args[0], kept.SetRetention(ctx, args[0], months))
	})
}
