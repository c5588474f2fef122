package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/rollout"
)

func newSuggestCommand() *cobra.Command {
	var (
		files  configFiles
		least  int64
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "suggest [flags] DATA...",
		Short: "Propose a policy from what agents did",
		Long: `Propose a policy that allows what receipts show, best those of a period in report
mode: a rule for each host, with methods and paths where they were seen, and comments
that say how often, when last and by whom. It is a draft to read and to narrow:
what was seen is not what was wanted.

DATA is ` + dataUsage + `.
The records are read as they are; signet verify says whether they are genuine.
What the deny list named, what was denied otherwise, and with --min what was seen
too rarely, is listed in comments only; so are wildcards.

Exit status: 2 if the data cannot be used.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exit(exitUnusable, errors.New("suggest needs DATA: "+dataUsage))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, paths []string) error {
			c, err := files.sources(cmd, nil).Load()
			if err != nil {
				return exit(exitUnusable, err)
			}
			s := rollout.NewSuggestion(least, opensOf(c))
			if err := eachReceipt(cmd, paths, s.Add); err != nil {
				return exit(exitUnusable, err)
			}
			proposal := s.Proposal()
			if proposal.Exchanges == 0 {
				return exit(exitUnusable, errNothingRecorded)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), proposal)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), proposal.Policy)
			return err
		},
	}
	files.register(cmd, "the sidecar's configuration file (YAML), for its resolver's zones and NAT64 prefixes")
	cmd.Flags().Int64Var(&least, "min", 1, "propose only what was seen at least this often")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: the rules, what they are made of, and the policy file")
	return cmd
}

var errNothingRecorded = errors.New("no exchange is recorded there that a policy could be held against")

// writeJSON writes a value for programs, indented for people.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}
