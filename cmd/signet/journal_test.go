package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/signet-egress/signet/receipts/journal"
)

// sizes of files differ from run to run, since salts do.
func sizeless(text string) string {
	text = regexp.MustCompile(`\d+(\.\d)? (bytes|kB|MB)`).ReplaceAllString(text, "<size>")
	return regexp.MustCompile(`("(?:bytes|used)": )\d+`).ReplaceAllString(text, "${1}<size>")
}

func TestJournalStopped(t *testing.T) {
	dir := closedJournal(t)
	var all strings.Builder
	show := func(args ...string) string {
		out := signet(t, args...)
		fmt.Fprintf(&all, "$ signet %s\n%s\n", strings.Join(args, " "), out)
		return out
	}
	show("journal", "stat", "--data", dir)
	show("journal", "seal", "--data", dir)
	show("journal", "seal", "--data", dir) // nothing is left to seal
	show("journal", "stat", "--json", "--data", dir)
	show("journal", "check", "--data", dir)
	show("journal", "recover", "--yes", "--data", dir)
	show("verify", dir)
	show("tail", "--data", dir, "-n", "2")
	show("journal", "stat", "--data", filepath.Join(dir, "nowhere"))
	show("journal")
	golden(t, "records/journal", sizeless(steady(strings.ReplaceAll(all.String(), dir, "DATA"))))
}

// A running sidecar answers and seals through its admin socket; what reads its
// records does not see the difference.
func TestJournalRunning(t *testing.T) {
	data := t.TempDir()
	proxy, _ := startSidecar(t, data)
	for range 3 {
		ask(t, proxy, "http://denied.example/")
	}
	before := signet(t, "tail", "--from", "1", "--json", "--data", data)
	out := signet(t, "journal", "seal", "--data", data)
	for _, part := range []string{"database   1 record,", "in 1 file,", "open       0 exchanges"} {
		if !strings.Contains(out, part) {
			t.Errorf("seal says\n%s without %q", out, part)
		}
	}
	if out := signet(t, "journal", "check", "--data", data); !strings.Contains(out, "the chain is whole") {
		t.Errorf("check says\n%s", out)
	}
	if after := signet(t, "tail", "--from", "1", "--json", "--data", data); after != before {
		t.Errorf("the records were\n%s, and sealed\n%s", before, after)
	}
	ask(t, proxy, "http://denied.example/")
	if out := signet(t, "journal", "stat", "--data", data); !strings.Contains(out, "2 records") {
		t.Errorf("stat says\n%s", out)
	}
}

// A journal that has lost a sealed file is refused, and goes on when asked.
func TestJournalRecover(t *testing.T) {
	dir := closedJournal(t)
	var all strings.Builder
	show := func(args ...string) {
		fmt.Fprintf(&all, "$ signet %s\n%s\n", strings.Join(args, " "), signet(t, args...))
	}
	signet(t, "journal", "seal", "--data", dir)
	if err := os.Remove(filepath.Join(dir, "000001.jsonl.gz")); err != nil {
		t.Fatal(err)
	}
	show("journal", "seal", "--data", dir)
	show("journal", "check", "--data", dir)
	show("journal", "check", "--json", "--data", dir)
	show("journal", "recover", "--data", dir)
	show("journal", "recover", "--yes", "--data", dir)
	show("journal", "stat", "--data", dir)
	show("journal", "check", "--data", dir)
	show("tail", "--data", dir)
	show("journal", "recover", "--data", filepath.Join(dir, "nowhere"))
	golden(t, "records/journal-recover", sizeless(steady(strings.ReplaceAll(all.String(), dir, "DATA"))))
}

// What a collector says of why shipping stands still does nothing to a terminal.
func TestJournalWaiting(t *testing.T) {
	for why, want := range map[string]string{
		"the collector takes no records (QUOTA)": "the collector takes no records (QUOTA)",
		"the collector\x1b[2J":                   `"the collector\x1b[2J"`,
	} {
		var out strings.Builder
		if err := showStat(&out, &journal.Stat{Waiting: why}, false); err != nil {
			t.Fatal(err)
		}
		if line := "\nshipping   stands still: " + want + "\n"; !strings.Contains(out.String(), line) {
			t.Errorf("got %s without %q", out.String(), line)
		}
	}
}
