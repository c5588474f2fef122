package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

func newJournalRecoverCommand() *cobra.Command {
	var (
		source sourceFlags
		sure   bool
	)
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Have a damaged chain go on, with a signed record of what is lost",
		Long: `Have the chain of a stopped sidecar go on after damage, or after the disk was put
back to an older state than a collector has seen. Signet refuses to start on such a
journal: whoever can restore the newest state of the data directory should do that.

What is proved is kept. Gap events, signed with the chain's key, own up to what is
lost, for everybody who verifies the chain from then on. Files that are damaged are
kept beside under a name that ends with .damaged; keep them as evidence.

Without --yes nothing is changed, and what would be lost is shown.

Exit status: 0 after a recovery, or if the journal is whole, 1 without --yes, 2 if
it cannot be read or the key is not the chain's.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := source.load(cmd)
			if err != nil {
				return err
			}
			if !sure {
				return showLoss(cmd, c)
			}
			return recoverJournal(cmd, c)
		},
	}
	source.register(cmd)
	cmd.Flags().BoolVar(&sure, "yes", false, "recover; without it, only show what would be lost")
	return cmd
}

func showLoss(cmd *cobra.Command, c *config.Config) error {
	bar := newProgress(cmd, "checking", -1)
	s, err := journal.Examine(cmd.Context(), c.Data, barOf(bar))
	bar.done()
	if err != nil {
		return exit(exitUnusable, err)
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), surveyText(s)); err != nil || s.Whole() {
		return err
	}
	return errors.New("nothing was changed; what is proved would be kept, and the rest given up for lost: signet journal recover --yes")
}

func recoverJournal(cmd *cobra.Command, c *config.Config) error {
	key, err := journal.OpenKey(c.Data, c.Key)
	if err != nil {
		return exit(exitUnusable, err)
	}
	bar := newProgress(cmd, "recovering", -1)
	s, lost, err := journal.Recover(cmd.Context(), journal.Options{Dir: c.Data, Key: key.Key, Next: key.Next}, barOf(bar))
	bar.done()
	if errors.Is(err, journal.ErrNothingToRecover) {
		_, err := io.WriteString(cmd.OutOrStdout(), surveyText(s))
		return err
	}
	if err != nil {
		return exit(exitUnusable, err)
	}
	text := surveyText(s)
	for i := range lost {
		text += fmt.Sprintf("on record: a loss (%s), %s\n", lost[i].Cause, lostText(&lost[i]))
	}
	_, err = io.WriteString(cmd.OutOrStdout(), text+"the chain goes on with the next start\n")
	return err
}

func lostText(l *receipts.Lost) string {
	if l.First == 0 {
		return "no record known to be lost"
	}
	return fmt.Sprintf("seq %d-%d lost", l.First, l.Last)
}
