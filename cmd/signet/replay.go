package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/rollout"
	"github.com/signet-egress/signet/internal/ruleset"
)

func newReplayCommand() *cobra.Command {
	var (
		files  configFiles
		file   string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "replay --policy FILE [flags] DATA...",
		Short: "Say what a policy would change about what agents did",
		Long: `Hold a policy against recorded exchanges, and list those that it would newly deny
or newly allow. The policy's mode does not count: what report mode would carry
and mark is denied here. Queries are not recorded, so that patterns are held
against host and path alone, and limits are not tried.

DATA is ` + dataUsage + `.
The records are read as they are; signet verify says whether they are genuine.

Exit status: 0 if nothing would newly break, 3 if something that was carried would
be denied, 2 if the policy or the data cannot be used.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case file == "":
				return exit(exitUnusable, errors.New("replay needs a policy: signet replay --policy FILE DATA"))
			case len(args) == 0:
				return exit(exitUnusable, errors.New("replay needs DATA: "+dataUsage))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, paths []string) error {
			c, err := files.sources(cmd, nil).Load()
			if err != nil {
				return exit(exitUnusable, err)
			}
			set, err := ruleset.Load(file)
			if err != nil {
				return exit(exitUnusable, err)
			}
			r := rollout.NewReplay(set.Policy, set.Version, opensOf(c))
			if err := eachReceipt(cmd, paths, r.Add); err != nil {
				return exit(exitUnusable, err)
			}
			result := r.Result()
			if result.Exchanges == 0 {
				return exit(exitUnusable, errNothingRecorded)
			}
			return showComparison(cmd.OutOrStdout(), result, asJSON)
		},
	}
	files.register(cmd, "the sidecar's configuration file (YAML), for its resolver's zones and NAT64 prefixes")
	cmd.Flags().StringVar(&file, "policy", "", "policy file or directory to try")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func showComparison(w io.Writer, c rollout.Comparison, asJSON bool) error {
	show := writeComparison
	if asJSON {
		show = func(w io.Writer, c rollout.Comparison) error { return writeJSON(w, c) }
	}
	if err := show(w, c); err != nil {
		return err
	}
	if c.NewlyDenied > 0 {
		return exit(exitDenied, nil)
	}
	return nil
}

const changeFormat = "%s  %-8s  %6s  %-20s  %-16s  %-7s  %-24s  %-16s  %s\n"

// writeComparison writes the changes as a table, and below it the sums.
func writeComparison(w io.Writer, c rollout.Comparison) error {
	out := bufio.NewWriter(w)
	style := styleOf(w)
	if len(c.Changes) > 0 {
		head := fmt.Sprintf(changeFormat, "NOW    ", "BEFORE", "TIMES", "LAST", "AGENT", "METHOD", "REASON", "RULE", "TARGET")
		_, _ = fmt.Fprintln(out, style.paint(bold, strings.TrimSuffix(head, "\n"))) // out keeps its first error for Flush
	}
	for i := range c.Changes {
		change := &c.Changes[i]
		colour, rule := green, change.Rule
		if change.Now == "denied" {
			colour = red
		}
		if rule == "" {
			rule = absent
		}
		_, _ = fmt.Fprintf(out, changeFormat, style.paint(colour, fmt.Sprintf("%-7s", change.Now)), change.Before, fmt.Sprint(change.Times),
			change.Last.UTC().Format("2006-01-02T15:04:05Z"), printable(change.Agent), printable(change.Method), printable(string(change.Reason)), printable(rule), printable(change.Target))
	}
	if len(c.Changes) > 0 {
		_, _ = fmt.Fprintln(out)
	}
	_, _ = fmt.Fprintf(out, "%s: %d newly denied, %d newly allowed, %d as before", plural(c.Exchanges, "exchange"), c.NewlyDenied, c.NewlyAllowed, c.Unchanged)
	if c.Undecided > 0 {
		_, _ = fmt.Fprintf(out, ", %d not decided", c.Undecided)
	}
	_, _ = fmt.Fprintln(out)
	if c.Undecided > 0 {
		_, _ = fmt.Fprintf(out, "not decided: %s that the policy would intercept; what went through is not recorded\n", plural(c.Undecided, "opaque tunnel"))
	}
	if n := c.Skipped.Withheld; n > 0 {
		_, _ = fmt.Fprintf(out, "left out: %s whose detail is withheld\n", plural(n, "exchange"))
	}
	if n := c.Skipped.Malformed; n > 0 {
		_, _ = fmt.Fprintf(out, "left out: %s without a target that can be parsed\n", plural(n, "exchange"))
	}
	return out.Flush()
}
