package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/collector/store"
)

func newChainCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "chain", Short: "Chains and their client certificates"}
	cmd.AddCommand(newChainRevokeCommand())
	return cmd
}

func newChainRevokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke TENANT CHAIN-ID", Short: "Revoke all client certificates of a chain", Args: cobra.ExactArgs(2),
		Long: `Revoke all client certificates of a chain: its sidecar ships and renews no more, nor
through a stream that is open. It can enrol again, and does so by itself, with its
chain's key and an enrolment token that is valid: to keep it out, end the token
first (signet-collector tenant revoke), or take the pod's service account away.`,
	}
	return withStore(cmd, func(ctx context.Context, kept store.Store, args []string) error {
		tenant, chain := args[0], args[1]
		if _, err := kept.Chain(ctx, tenant, chain); err != nil {
			return fmt.Errorf("chain %s of tenant %s: %w", chain, tenant, err)
		}
		certificates, err := kept.Certificates(ctx, tenant, chain)
		if err != nil {
			return err
		}
		if err := kept.RevokeCertificates(ctx, tenant, chain, time.Now()); err != nil {
			return err
		}
		valid := 0
		for i := range certificates {
			if certificates[i].Revoked.IsZero() && time.Now().Before(certificates[i].NotAfter) {
				valid++
			}
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "revoked %d client certificates of chain %s\n", valid, chain)
		return nil
	})
}
