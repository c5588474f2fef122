package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/receipts"
)

func newReceiptsCommand() *cobra.Command {
	var (
		source sourceFlags
		out    outputFlags
		filter receiptFilter
	)
	cmd := &cobra.Command{
		Use:   "receipts",
		Short: "List a sidecar's receipts, by trace, host or outcome",
		Long: `List the receipts of a sidecar's chain. A stopped sidecar's journal is read
directly, a running one's through its admin socket.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := filter.check(); err != nil {
				return exit(exitUnusable, err)
			}
			records, err := source.open(cmd)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, records.close()) }()
			p, err := out.printer(cmd.OutOrStdout(), false)
			if err != nil {
				return err
			}
			p.match = filter.match
			if err := records.each(cmd.Context(), 1, false, p.print); err != nil {
				return errors.Join(err, p.flush())
			}
			if p.count == 0 {
				_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "signet: no receipt matches") // to tell, not to fail
			}
			return p.flush()
		},
	}
	source.register(cmd)
	out.register(cmd)
	cmd.Flags().StringVar(&filter.trace, "trace", "", "only receipts of this trace id")
	cmd.Flags().StringVar(&filter.host, "host", "", "only receipts of this host: a name or an address, without the port")
	cmd.Flags().StringVar(&filter.outcome, "outcome", "", "only receipts with this outcome: forwarded, denied, failed or unknown")
	return cmd
}

// receiptFilter is what a receipt must have; "" asks for nothing.
type receiptFilter struct{ trace, host, outcome string }

func (f *receiptFilter) check() error {
	switch receipts.Outcome(f.outcome) {
	case "", receipts.Forwarded, receipts.Denied, receipts.Failed, receipts.Unknown:
		return nil
	}
	return fmt.Errorf("--outcome %s: not one of forwarded, denied, failed, unknown", f.outcome)
}

func (f *receiptFilter) match(r receipts.Record) bool {
	receipt, ok := r.(*receipts.Receipt)
	if !ok || f.trace != "" && receipt.TraceID != f.trace || f.outcome != "" && string(receipt.Outcome) != f.outcome {
		return false
	}
	if f.host == "" {
		return true
	}
	d := receipt.Detail
	return d != nil && d.Request != nil && strings.EqualFold(d.Request.Host, f.host)
}
