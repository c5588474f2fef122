package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
)

// summary is what one run of a command reached.
type summary struct {
	Command    []string   `json:"command"`
	ExitStatus int        `json:"exit_status"`
	Mode       string     `json:"mode"`
	Exchanges  int64      `json:"exchanges"`
	Hosts      []hostLine `json:"hosts"`
	Verified   bool       `json:"verified"` // the whole chain, earlier runs included
	Chain      string     `json:"chain,omitempty"`
	Last       int64      `json:"last_seq,omitempty"`
	Head       string     `json:"head,omitempty"`
	Error      string     `json:"error,omitempty"` // why it is not verified
	Data       string     `json:"data"`

	verified receipts.Result
	counts   map[hostLine]int64 // by lines that count nothing yet
}

// hostLine counts the exchanges with one host that ended alike.
type hostLine struct {
	Host      string           `json:"host"` // with its port; "-" where the request was too malformed to have one
	Outcome   receipts.Outcome `json:"outcome"`
	Allowed   bool             `json:"allowed"`
	Reason    policy.Reason    `json:"reason"`
	Exchanges int64            `json:"exchanges"`
}

// verdict is the outcome, and what the policy would have made of it.
func (l *hostLine) verdict() string {
	switch {
	case l.Outcome == receipts.Denied || l.Allowed:
		return string(l.Outcome)
	case l.Outcome == receipts.Forwarded:
		return "would deny"
	}
	return "would deny, " + string(l.Outcome)
}

// summarize reads back, and verifies, what the run that has just ended in dir
// has left. An error is part of what it tells.
func summarize(ctx context.Context, dir string) *summary {
	s := &summary{Hosts: []hostLine{}, Data: dir}
	var err error
	if s.verified, err = readChain(ctx, dir, s.count); err != nil {
		s.Error = err.Error()
	} else {
		s.Verified, s.Chain, s.Last, s.Head = true, s.verified.ChainID, s.verified.Last, s.verified.Head
	}
	for line, n := range s.counts {
		line.Exchanges = n
		s.Exchanges += n
		s.Hosts = append(s.Hosts, line)
	}
	slices.SortFunc(s.Hosts, func(a, b hostLine) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.verdict(), b.verdict()), cmp.Compare(a.Reason, b.Reason))
	})
	return s
}

// count takes a record into the summary. Everything up to the last start is of
// runs before, what a recovery has put on record included.
func (s *summary) count(r receipts.Record) {
	switch r := r.(type) {
	case *receipts.Event:
		if r.Event == receipts.EventStart {
			s.counts = make(map[hostLine]int64)
		}
	case *receipts.Receipt:
		line := hostLine{Host: absent, Outcome: r.Outcome, Allowed: r.Policy.Allowed, Reason: policy.Reason(r.Policy.Reason)}
		if r.Detail != nil && r.Detail.Request != nil {
			line.Host = net.JoinHostPort(r.Detail.Request.Host, strconv.FormatInt(r.Detail.Request.Port, 10))
		}
		s.counts[line] += r.Count
	}
}

// write tells a person, or a program, in one write: the command's last output
// may still be on its way to the same terminal.
func (s *summary) write(w io.Writer, asJSON bool) error {
	var b bytes.Buffer
	if asJSON {
		if err := json.NewEncoder(&b).Encode(s); err != nil {
			return fmt.Errorf("writing the summary: %w", err)
		}
	} else {
		s.table(&b, styleOf(w))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (s *summary) table(b *bytes.Buffer, style style) {
	fmt.Fprintf(b, "\nsignet: %s, mode %s\n", plural(s.Exchanges, "exchange"), s.Mode)
	const row = "  %9s  %s  %-24s  %s\n"
	if len(s.Hosts) > 0 {
		fmt.Fprint(b, style.paint(bold, strings.TrimRight(fmt.Sprintf(row, "EXCHANGES", fmt.Sprintf("%-12s", "VERDICT"), "REASON", "HOST"), "\n")), "\n")
	}
	for _, line := range s.Hosts {
		verdict := style.paint(outcomeColour[line.Outcome], fmt.Sprintf("%-12s", line.verdict()))
		fmt.Fprintf(b, row, strconv.FormatInt(line.Exchanges, 10), verdict, line.Reason, line.Host)
	}
	if slices.ContainsFunc(s.Hosts, func(l hostLine) bool { return !l.Allowed && l.Outcome != receipts.Denied }) {
		fmt.Fprintf(b, "  %s: carried, since mode report only watches; --policy FILE names a policy that enforces\n", style.paint(bold, "would deny"))
	}
	for _, reason := range s.denials() {
		fmt.Fprintf(b, "  %s: %s\n", style.paint(bold, string(reason)), reason.Hint())
	}
	if s.Error != "" {
		fmt.Fprintf(b, "%s: %s\n", style.paint(red, "not verified"), printable(s.Error))
	} else {
		fmt.Fprintln(b, style.paint(green, verifiedLine(&s.verified)))
	}
	fmt.Fprintf(b, "receipts: signet receipts --data %s\n", s.Data)
}

// denials are the reasons why anything was denied, in order.
func (s *summary) denials() []policy.Reason {
	var list []policy.Reason
	for _, line := range s.Hosts {
		if line.Outcome == receipts.Denied && !slices.Contains(list, line.Reason) {
			list = append(list, line.Reason)
		}
	}
	slices.Sort(list)
	return list
}

func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
