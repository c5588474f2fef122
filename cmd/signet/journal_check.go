package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

func newJournalCheckCommand() *cobra.Command {
	var (
		source sourceFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Verify a sidecar's whole chain, and say what a damaged one still proves",
		Long: `Verify the whole chain of a sidecar, across the database and all sealed files.
What is wrong is named with its file and sequence, and the check goes on behind
it: what is damaged does not take away from what else is proved. The chain's own
keys are taken for what they say; signet verify --jwks holds them against yours.

A stopped sidecar's files are read directly. A running one's chain is read through
its admin socket, up to the first record that is not good.

Exit status: 0 if the chain is whole, 1 if not, 2 if it cannot be read.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, named, err := source.load(cmd)
			if err != nil {
				return err
			}
			s, err := checkJournal(cmd, c, named)
			if err != nil {
				return err
			}
			if err := showSurvey(cmd.OutOrStdout(), s, asJSON); err != nil {
				return err
			}
			if !s.Whole() {
				return exit(1, nil)
			}
			return nil
		},
	}
	source.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func checkJournal(cmd *cobra.Command, c *config.Config, named bool) (*journal.Survey, error) {
	bar := newProgress(cmd, "checking", -1)
	defer bar.done()
	s, err := journal.Examine(cmd.Context(), c.Data, barOf(bar))
	if err == nil {
		return s, nil
	}
	r, err := dialRunning(c, named, err)
	if err != nil {
		return nil, err
	}
	s, err = checkRunning(cmd.Context(), r, bar)
	return s, errors.Join(err, r.close())
}

// barOf moves a bar by how many records were verified since it was called last.
func barOf(bar *progress) func(records int64) {
	last := int64(0)
	return func(records int64) {
		bar.add(int(records - last))
		last = records
	}
}

// checkRunning verifies what a running sidecar hands out.
func checkRunning(ctx context.Context, r running, bar *progress) (*journal.Survey, error) {
	keys, err := r.keys(ctx)
	if err != nil {
		return nil, err
	}
	set, err := receipts.ParseJWKS(receipts.JWKS(keys...))
	if err != nil {
		return nil, fmt.Errorf("the sidecar's keys: %w", err)
	}
	s, v := new(journal.Survey), receipts.NewVerifier(set)
	err = r.each(ctx, 1, false, func(line []byte) error {
		bar.add(1)
		return v.Add(line)
	})
	if bad, ok := errors.AsType[*receipts.VerifyError](err); ok {
		s.Damage = append(s.Damage, journal.Damage{Path: r.socket, First: bad.Seq, Last: bad.Seq, Err: bad})
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	result, err := v.Result()
	s.Chain, s.Pruned = result.ChainID, result.First-1
	s.Proved = []journal.Run{{First: result.First, Last: result.Last, Head: result.Head}}
	return s, err
}

// surveyAnswer is a survey as JSON.
type surveyAnswer struct {
	Whole   bool           `json:"whole"`
	Chain   string         `json:"chain"`
	Pruned  int64          `json:"pruned_through"`
	Proved  []runAnswer    `json:"proved"`
	Damage  []damageAnswer `json:"damage"`
	Intents int            `json:"open_intents"`
	Known   int64          `json:"known_seq"`
}

type runAnswer struct {
	First int64  `json:"first_seq"`
	Last  int64  `json:"last_seq"`
	Head  string `json:"head"`
}

type damageAnswer struct {
	Path  string `json:"path"`
	First int64  `json:"first_seq,omitempty"`
	Last  int64  `json:"last_seq,omitempty"`
	Error string `json:"error"`
}

func showSurvey(w io.Writer, s *journal.Survey, asJSON bool) error {
	if asJSON {
		a := surveyAnswer{
			Whole: s.Whole(), Chain: s.Chain, Pruned: s.Pruned, Intents: s.Intents, Known: s.Known, Proved: []runAnswer{}, Damage: []damageAnswer{},
		}
		for _, run := range s.Proved {
			a.Proved = append(a.Proved, runAnswer(run))
		}
		for _, d := range s.Damage {
			a.Damage = append(a.Damage, damageAnswer{Path: d.Path, First: d.First, Last: d.Last, Error: d.Err.Error()})
		}
		return writeJSON(w, a)
	}
	_, err := io.WriteString(w, surveyText(s))
	return err
}

func surveyText(s *journal.Survey) string {
	text := fmt.Sprintf("chain: %s\n", s.Chain)
	if s.Pruned > 0 {
		text += fmt.Sprintf("pruned: seq 1-%d\n", s.Pruned)
	}
	for _, d := range s.Damage {
		text += fmt.Sprintf("damage: %s: %s%s\n", printable(filepath.Base(d.Path)), seqs(d.First, d.Last), printable(d.Err.Error()))
	}
	lost, next := "", s.Pruned+1
	for _, run := range s.Proved {
		if run.First > next {
			lost += fmt.Sprintf("lost: seq %d-%d\n", next, run.First-1)
		}
		next = run.Last + 1
		text += fmt.Sprintf("proved: seq %d-%d, head %s\n", run.First, run.Last, run.Head)
	}
	if len(s.Proved) == 0 {
		text += "proved: nothing\n"
	}
	if s.Intents > 0 {
		text += fmt.Sprintf("open: %s without a receipt; the next start puts them on record\n", plural(int64(s.Intents), "exchange"))
	}
	if s.Whole() && lost != "" {
		return text + lost + "the chain is whole but for what is lost, which it has on record\n"
	}
	if s.Whole() {
		return text + "the chain is whole\n"
	}
	return text + "the chain is not whole\n"
}

func seqs(first, last int64) string {
	switch {
	case first == 0:
		return ""
	case last <= first:
		return fmt.Sprintf("seq %d: ", first)
	}
	return fmt.Sprintf("seq %d-%d: ", first, last)
}
