package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func newContractTestCommand() *cobra.Command {
	var flags contractFlags
	var update, asJSON bool
	cmd := &cobra.Command{
		Use:   "test [flags] FILE...",
		Short: "Hold contracts against cases: bodies, and what must become of them",
		Long: `Take the body of each case through its contract, as the sidecar would, and hold
what becomes of it against what the case says. Nothing is sent. A FILE is a case,
or a directory whose *.txt files are cases. A case is one text file:

  # what this is about
  contract: invoice-payment
  request: POST https://bank.example/v1/payments
  -- original --
  {"invoice_id": "INV-1", "amount": 12.50, "currency": "EUR"}
  -- input --
  {"invoice_id": "INV-1", "amount_minor": 1205, "currency": "EUR"}
  -- error --
  INVARIANT_VIOLATED
  amount

contract or request is enough. original is the fact that the body is held against.
With -- output -- the body must be sent, and with these bytes; with -- error -- it
must be refused: the first line is the reason, and each further one the beginning
of a violation or of the detail.

Exit status: 0 if every case is as it says, 1 if one is not, 2 if the policy or a
case cannot be used.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exit(exitUnusable, errors.New("contract test needs a FILE, a case or a directory of cases"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, paths []string) error {
			trial, err := flags.load(cmd)
			if err != nil {
				return err
			}
			cases, err := readCases(paths)
			if err != nil {
				return exit(exitUnusable, err)
			}
			results, err := runCases(cmd.Context(), trial, cases, update)
			if err != nil {
				return exit(exitUnusable, err)
			}
			return showCases(cmd.OutOrStdout(), results, asJSON)
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&update, "update", false, "write what becomes of each body into its case")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// readCases reads files, and the *.txt files of directories.
func readCases(paths []string) ([]*contractCase, error) {
	var cases []*contractCase
	for _, path := range paths {
		files := []string{path}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(path, "*.txt")); err != nil || len(files) == 0 {
				return nil, fmt.Errorf("%s has no *.txt file", path)
			}
		}
		for _, file := range files {
			c, err := readCase(file)
			if err != nil {
				return nil, err
			}
			cases = append(cases, c)
		}
	}
	return cases, nil
}

// caseResult is what became of a case. The JSON names are part of the command's
// contract.
type caseResult struct {
	File    string `json:"file"`
	Passed  bool   `json:"passed"`
	Updated bool   `json:"updated,omitempty"`
	Want    string `json:"want,omitempty"` // only where it did not pass
	Got     string `json:"got,omitempty"`
}

func runCases(ctx context.Context, trial *bodyTrial, cases []*contractCase, update bool) ([]caseResult, error) {
	results := make([]caseResult, 0, len(cases))
	for _, c := range cases {
		got, err := c.run(ctx, trial)
		if err != nil {
			return nil, err
		}
		r := caseResult{File: c.path, Passed: got.meets(c.want)}
		switch {
		case !r.Passed && update:
			if err := c.update(got); err != nil {
				return nil, err
			}
			r.Passed, r.Updated = true, true
		case !r.Passed:
			r.Want, r.Got = c.want.section()+"\n"+c.want.text, got.section()+"\n"+got.text
		}
		results = append(results, r)
	}
	return results, nil
}

func showCases(w io.Writer, results []caseResult, asJSON bool) error {
	failed := 0
	for _, r := range results {
		if !r.Passed {
			failed++
		}
	}
	var err error
	if asJSON {
		err = writeJSON(w, results)
	} else {
		err = writeCases(w, results, failed)
	}
	if err == nil && failed > 0 {
		return exit(1, nil)
	}
	return err
}

func writeCases(w io.Writer, results []caseResult, failed int) error {
	out := bufio.NewWriter(w)
	style := styleOf(w)
	for _, r := range results {
		mark := style.paint(green, "ok  ")
		switch {
		case r.Updated:
			mark = style.paint(yellow, "new ")
		case !r.Passed:
			mark = style.paint(red, "FAIL")
		}
		_, _ = fmt.Fprintf(out, "%s  %s\n", mark, printable(r.File)) // out keeps its first error for Flush
		if !r.Passed {
			_, _ = fmt.Fprintf(out, "      want %s\n      got  %s\n", indented(r.Want), indented(r.Got))
		}
	}
	_, _ = fmt.Fprintf(out, "\n%s, %d failed\n", plural(int64(len(results)), "case"), failed)
	return out.Flush()
}

// indented puts the lines of a text below each other.
func indented(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n           ")
}
