package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/signet-egress/signet/receipts"
)

// style wraps text in a terminal's colours, or leaves it alone.
type style bool

// styleOf is colour for a terminal, unless NO_COLOR is set (no-color.org), and
// for anything where CLICOLOR_FORCE is (bixense.com/clicolors).
func styleOf(w io.Writer) style {
	if os.Getenv("NO_COLOR") != "" {
		return false
	}
	if force := os.Getenv("CLICOLOR_FORCE"); force != "" && force != "0" {
		return true
	}
	f, ok := w.(*os.File)
	return style(ok && term.IsTerminal(int(f.Fd())))
}

// SGR codes of ECMA-48.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s style) paint(code, text string) string {
	if !s || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

var outcomeColour = map[receipts.Outcome]string{
	receipts.Forwarded: green, receipts.Denied: red, receipts.Failed: yellow, receipts.Unknown: yellow,
}

// recordTable writes records as lines for people. The target comes last, so
// that the rest stands in columns whatever its length.
type recordTable struct {
	w     io.Writer
	style style
}

const rowFormat = "%-24s  %s  %-24s  %-7s  %6s  %10s  %8s  %s\n"

func (t *recordTable) header() error {
	line := fmt.Sprintf(rowFormat, "TIME", fmt.Sprintf("%-9s", "OUTCOME"), "REASON", "METHOD", "STATUS", "BYTES", "MS", "TARGET")
	_, err := io.WriteString(t.w, t.style.paint(bold, strings.TrimSuffix(line, "\n"))+"\n")
	return err
}

func (t *recordTable) row(r receipts.Record) error {
	at := stamp(r.RecordHead().TS)
	var err error
	switch r := r.(type) {
	case *receipts.Receipt:
		method, status, size, ms, target := detailColumns(r.Detail)
		outcome := t.style.paint(outcomeColour[r.Outcome], fmt.Sprintf("%-9s", r.Outcome))
		if r.Count > 1 {
			target += fmt.Sprintf(" (%d times)", r.Count)
		}
		_, err = fmt.Fprintf(t.w, rowFormat, at, outcome, r.Policy.Reason, method, status, size, ms, target)
	case *receipts.Event:
		_, err = fmt.Fprintf(t.w, "%-24s  %s  %s\n", at, t.style.paint(dim, fmt.Sprintf("%-9s", "event")), eventText(r))
	case *receipts.Genesis:
		_, err = fmt.Fprintf(t.w, "%-24s  %s  chain %s, tenant %s, agent %s\n",
			at, t.style.paint(dim, fmt.Sprintf("%-9s", "genesis")), r.Chain.ID, printable(r.Tenant), printable(r.Agent))
	}
	return err
}

// stamp is a time as records have it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// absent stands for what a receipt does not have.
const absent = "-"

func detailColumns(d *receipts.Detail) (method, status, size, ms, target string) {
	method, status, size, ms, target = absent, absent, absent, absent, "(withheld)"
	if d == nil {
		return method, status, size, ms, target
	}
	ms = strconv.FormatInt(d.DurationUS/1000, 10)
	target = absent
	if q := d.Request; q != nil {
		method = printable(q.Method)
		target = printable(net.JoinHostPort(q.Host, strconv.FormatInt(q.Port, 10)) + q.Path)
	}
	if f := d.Forwarded; f != nil {
		if f.StatusCode != nil {
			status = strconv.FormatInt(*f.StatusCode, 10)
		}
		switch {
		case f.ResponseSize != nil:
			size = strconv.FormatInt(*f.ResponseSize, 10)
		case f.BytesDown != nil:
			size = strconv.FormatInt(*f.BytesDown, 10)
		}
	}
	return method, status, size, ms, target
}

func eventText(e *receipts.Event) string {
	switch {
	case e.Build != "":
		return fmt.Sprintf("%s of %s, policy %s", e.Event, printable(e.Build), e.PolicyVersion)
	case e.Gap != nil && e.Gap.Lost != nil:
		return fmt.Sprintf("%s: goes on by an operator's order after a loss (%s), %s", e.Event, e.Gap.Lost.Cause, lostText(e.Gap.Lost))
	case e.Gap != nil:
		return fmt.Sprintf("%s: %d exchanges were cut short", e.Event, e.Gap.Unknown)
	case e.Key != nil:
		return fmt.Sprintf("%s to %s", e.Event, e.Key.KID)
	case e.Clock != nil:
		return fmt.Sprintf("%s of %d ms", e.Event, e.Clock.StepMS)
	case e.Posture != nil:
		return fmt.Sprintf("%s: %s=%s", e.Event, printable(e.Posture.Name), printable(e.Posture.Value))
	}
	return string(e.Event)
}
