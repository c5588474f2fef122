package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/signet-egress/signet/receipts"
)

// playbill is the outcome of the demonstration.
type playbill struct {
	Lines     []*line  `json:"lines"`
	Verified  string   `json:"verified,omitempty"`  // as signet verify says it
	Collector *shipped `json:"collector,omitempty"` // nil: there is none
	Error     string   `json:"error,omitempty"`     // what went wrong besides the lines
	Passed    bool     `json:"passed"`
}

// line is one scene, as it was and as it must be.
type line struct {
	Tried    string           `json:"tried"`
	Expected string           `json:"expected"`
	Want     string           `json:"want"`
	Happened string           `json:"happened"`
	Outcome  receipts.Outcome `json:"outcome,omitempty"`
	Reason   string           `json:"reason,omitempty"`
	Receipt  string           `json:"receipt_id,omitempty"`
	OK       bool             `json:"ok"`

	facts string // what the agent and the peers saw
	trace string
}

// check verifies the chain and holds each line against its one receipt.
func (p *playbill) check(ctx context.Context, data string) error {
	byTrace := make(map[string][]*receipts.Receipt)
	result, err := readChain(ctx, data, func(r receipts.Record) {
		if receipt, ok := r.(*receipts.Receipt); ok {
			byTrace[receipt.TraceID] = append(byTrace[receipt.TraceID], receipt)
		}
	})
	if err != nil {
		return fmt.Errorf("not verified: %w", err)
	}
	p.Verified = verifiedLine(&result)
	for _, l := range p.Lines {
		l.settle(byTrace[l.trace])
	}
	switch {
	case int(result.Receipts) != len(p.Lines):
		return fmt.Errorf("%d receipts for %d exchanges", result.Receipts, len(p.Lines))
	case !result.CleanStop:
		return errors.New("the chain does not end with a clean stop")
	}
	return nil
}

// settle completes the line with what is on record of it.
func (l *line) settle(records []*receipts.Receipt) {
	if len(records) != 1 {
		l.Happened = fmt.Sprintf("%s, %d receipts", l.facts, len(records))
		return
	}
	r := records[0]
	l.Outcome, l.Reason, l.Receipt = r.Outcome, r.Policy.Reason, r.ReceiptID
	verdict := string(r.Outcome)
	switch r.Outcome {
	case receipts.Denied:
		verdict = r.Policy.Reason
	case receipts.Failed:
		verdict += " " + r.Policy.Reason
	}
	l.Happened = verdict + ": " + l.facts + recorded(r)
	l.OK = l.Happened == l.Want
}

// recorded are the facts that only the receipt tells.
func recorded(r *receipts.Receipt) string { return violated(r.SemanticViolations) + carried(r) }

// violated names the rules of a contract that did not hold.
func violated(rules []string) string {
	switch len(rules) {
	case 0:
		return ""
	case 1:
		return ", rule " + rules[0]
	}
	return ", rules " + strings.Join(rules, " ")
}

func carried(r *receipts.Receipt) string {
	switch d := r.Detail; {
	case r.Outcome == receipts.Denied && d.Forwarded == nil:
		return ", no connection"
	case r.Outcome == receipts.Denied:
		return ""
	case d.Repair != nil:
		return ", mended, intercepted"
	case d.TLS != nil && d.TLS.Mode == "intercept":
		return ", intercepted"
	case d.TLS != nil && d.TLS.Mode == "tunnel":
		return ", not opened"
	}
	return ""
}

// conclude says whether all is as it must be. A line that was never held against
// a receipt shows at least what was seen.
func (p *playbill) conclude(err error) {
	if err != nil {
		p.Error = err.Error()
	}
	p.Passed = err == nil
	for _, l := range p.Lines {
		if l.Happened == "" {
			l.Happened = l.facts
		}
		p.Passed = p.Passed && l.OK
	}
}

func (p *playbill) table(style style, kept string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "An agent behind Signet: two TLS upstreams, a DNS server, the sidecar and a collector, all on loopback.\n\n")
	tried, happened := len("TRIED"), len("HAPPENED")
	for _, l := range p.Lines {
		tried, happened = max(tried, utf8.RuneCountInString(l.Tried)), max(happened, utf8.RuneCountInString(l.Happened))
	}
	b.WriteString(style.paint(bold, fmt.Sprintf("      %-*s  %-8s  %-*s  %s", tried, "TRIED", "EXPECTED", happened, "HAPPENED", "RECEIPT")) + "\n")
	for _, l := range p.Lines {
		mark := style.paint(green, "ok  ")
		if !l.OK {
			mark = style.paint(red, "FAIL")
		}
		fmt.Fprintf(&b, "%s  %-*s  %s  %s  %s\n", mark, tried, l.Tried, style.paint(expectedColour[l.Expected], fmt.Sprintf("%-8s", l.Expected)),
			fmt.Sprintf("%-*s", happened, l.Happened), style.paint(dim, l.Receipt[max(0, len(l.Receipt)-8):]))
		if !l.OK {
			fmt.Fprintf(&b, "      %*s  %-8s  %s\n", tried, "", "wanted", l.Want)
		}
	}
	b.WriteByte('\n')
	if p.Error != "" {
		fmt.Fprintln(&b, style.paint(red, p.Error))
	}
	if p.Verified != "" {
		fmt.Fprintln(&b, style.paint(green, p.Verified))
	}
	switch {
	case p.Collector == nil && p.Error == "":
		fmt.Fprintln(&b, "No collector: there is no signet-collector beside signet; make build makes both.")
	case p.Error == "":
		b.WriteString(style.paint(green, strings.TrimSuffix(p.Collector.describe(), "\n")) + "\n")
	}
	if kept == "" {
		fmt.Fprintln(&b, "To look at the receipts: signet demo --keep DIR, then signet receipts --data DIR/data; at the collector's pages: signet demo --stay")
	} else {
		fmt.Fprintf(&b, "To look at the receipts: signet receipts --data %s\n", filepath.Join(kept, "data"))
	}
	return b.String()
}

var expectedColour = map[string]string{"allowed": green, "denied": red, "unknown": yellow}
