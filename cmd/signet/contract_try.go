package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/payload"
	"github.com/signet-egress/signet/internal/policy"
)

func newContractTryCommand() *cobra.Command {
	var flags contractFlags
	var request trialRequest
	var originalFile, requestLine string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "try --contract NAME [flags] < BODY",
		Short: "Take a body through a contract and show each stage",
		Long: `Take a body from standard input through a contract, as the sidecar would, and show
each stage and what would be sent. Nothing is sent.

Exit status: 0 if the body would be sent, 3 if it would be refused, 2 if the input
cannot be used.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			trial, err := flags.load(cmd)
			if err != nil {
				return err
			}
			if err := request.read(cmd.InOrStdin(), requestLine, originalFile); err != nil {
				return exit(exitUnusable, err)
			}
			c, result, err := trial.run(cmd.Context(), &request)
			if err != nil {
				return exit(exitUnusable, err)
			}
			defer result.Release()
			return showTrial(cmd.OutOrStdout(), newTrialReport(c, result), asJSON)
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&request.contract, "contract", "", "name of the contract (default: the one that --request falls under)")
	cmd.Flags().StringVar(&requestLine, "request", "", `method and URL that the body would go to, as in "POST https://api.example.com/v1/payments"`)
	cmd.Flags().StringVar(&request.kind, "type", "", "Content-Type of the body")
	cmd.Flags().StringVar(&originalFile, "original", "", "file of the JSON that the fact holds (default: no fact is known)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// read completes the request with what stands in files.
func (r *trialRequest) read(body io.Reader, line, originalFile string) (err error) {
	r.method = "POST"
	if line != "" {
		var ok bool
		if r.method, r.url, ok = strings.Cut(line, " "); !ok {
			return errors.New("--request is a method and a URL, in one argument")
		}
	}
	if originalFile != "" {
		if r.original, err = os.ReadFile(originalFile); err != nil {
			return err
		}
	}
	const limit = 64 << 20
	if r.body, err = io.ReadAll(io.LimitReader(body, limit)); err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	return nil
}

// trialReport is what try shows. The JSON names are part of the command's
// contract.
type trialReport struct {
	Contract   string        `json:"contract"`
	Sent       bool          `json:"sent"`
	Reason     policy.Reason `json:"reason"`
	Detail     string        `json:"detail,omitempty"`
	Violations []string      `json:"violations,omitempty"`
	Stages     []trialStage  `json:"stages"`
	Body       string        `json:"body,omitempty"`
	CID        string        `json:"cid,omitempty"`

	why []string // of a refusal, line by line
}

type trialStage struct {
	Name   string `json:"name"`
	Result string `json:"result"`
}

func newTrialReport(c *payload.Contract, r *payload.Result) *trialReport {
	report := &trialReport{Contract: c.Name, Sent: r.Refusal == nil, Reason: policy.OK, Body: string(r.Body), CID: r.CID}
	for _, s := range r.Stages {
		report.Stages = append(report.Stages, trialStage{s.Name, stageResult(s.Name, r)})
	}
	if refusal := r.Refusal; refusal != nil {
		report.Reason, report.Detail = refusal.Reason, refusal.Detail
		report.why = strings.Split(outcomeOf(r).text, "\n")[1:]
		report.Stages[len(report.Stages)-1].Result = "refused"
		for _, v := range refusal.Violations {
			report.Violations = append(report.Violations, v.RuleID)
		}
	}
	return report
}

// stageResult says what a stage that passed has made of the body.
func stageResult(stage string, r *payload.Result) string {
	switch stage {
	case "read":
		return plural(int64(len(r.Raw)), "byte")
	case "repair":
		return r.Repair.Method + ", " + plural(int64(len(r.Repair.Edits)), "edit")
	case "original":
		if len(r.Facts) > 0 {
			return "fact " + r.Facts[0].Name
		}
		if r.Original == nil {
			return "none is known, and the contract lets that pass"
		}
		return "the body as it came"
	case "rules":
		return "all hold"
	case "cid":
		if r.CID == "" {
			return "none: a number is more than a double can hold"
		}
		return r.CID
	}
	return "ok"
}

func showTrial(w io.Writer, report *trialReport, asJSON bool) error {
	write := writeTrial
	if asJSON {
		write = func(w io.Writer, report *trialReport) error { return writeJSON(w, report) }
	}
	if err := write(w, report); err != nil {
		return err
	}
	if !report.Sent {
		return exit(exitDenied, nil)
	}
	return nil
}

func writeTrial(w io.Writer, report *trialReport) error {
	out := bufio.NewWriter(w)
	style := styleOf(w)
	_, _ = fmt.Fprintf(out, "%-10s %s\n", "contract", report.Contract) // out keeps its first error for Flush
	for _, s := range report.Stages {
		_, _ = fmt.Fprintf(out, "%-10s %s\n", s.Name, s.Result)
	}
	if report.Sent {
		_, _ = fmt.Fprintf(out, "%s\n\n%s\n", style.paint(green, "would be sent:"), report.Body)
		return out.Flush()
	}
	_, _ = fmt.Fprintf(out, "%s\n", style.paint(red, "would be refused: "+string(report.Reason)))
	for _, line := range report.why {
		_, _ = fmt.Fprintf(out, "  %s\n", printable(line))
	}
	return out.Flush()
}
