package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
	if after := signet(t, "tail", "--from", "1", "--json", "--data", data); after != before {
		t.Errorf("the records were\n%s, and sealed\n%s", before, after)
	}
	ask(t, proxy, "http://denied.example/")
	if out := signet(t, "journal", "stat", "--data", data); !strings.Contains(out, "2 records") {
		t.Errorf("stat says\n%s", out)
	}
}
