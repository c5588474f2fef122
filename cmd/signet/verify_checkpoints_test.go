package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/checkpoint"
)

// note is a checkpoint of the record at seq, as the chain's writer signs it.
func (e *evidence) note(t *testing.T, seq int) []byte {
	t.Helper()
	r, err := receipts.Decode(e.lines[seq-1])
	if err != nil {
		t.Fatal(err)
	}
	h := r.RecordHead()
	n, err := checkpoint.Sign(checkpoint.Checkpoint{Chain: e.chain, Seq: h.Chain.Seq, Hash: h.ReceiptHash, TS: h.TS}, e.key)
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint.AppendFile(nil, n)
}

// TestVerifyCheckpoints says what checkpoints show, of files and of journals.
func TestVerifyCheckpoints(t *testing.T) {
	data := closedJournal(t)
	t.Chdir(t.TempDir())
	e, other := sampleEvidence(), newEvidence(2)
	again := newEvidence(1) // another chain by the same name and key
	again.add(again.exchange(receipts.Denied, "HEL_HOST_NOT_ALLOWED", "hidden.example"))
	forger := newEvidence(3)
	forger.chain, forger.lines = e.chain, e.lines
	writeFile(t, "records.jsonl", jsonLines(e.lines))
	writeFile(t, "cut.jsonl", jsonLines(e.lines[:8]))
	writeFile(t, "again.jsonl", jsonLines(again.lines))
	writeFile(t, "kept.txt", append(append(e.note(t, 2), other.note(t, 1)...), e.note(t, 9)...))
	writeFile(t, "newest.txt", e.note(t, 10))
	writeFile(t, "forged.txt", forger.note(t, 4))
	writeFile(t, "half.txt", e.note(t, 10)[:100])

	var all strings.Builder
	show := func(args ...string) {
		out := steady(strings.ReplaceAll(signet(t, args...), data, "DATA"))
		fmt.Fprintf(&all, "$ signet %s\n%s\n", strings.ReplaceAll(strings.Join(args, " "), data, "DATA"), out)
	}
	show("verify", "--checkpoints", "kept.txt", "records.jsonl")
	show("verify", "--checkpoints", "newest.txt", "records.jsonl")
	show("verify", "--checkpoints", "newest.txt", "--json", "records.jsonl")
	show("verify", "--checkpoints", "kept.txt", "cut.jsonl")
	show("verify", "--checkpoints", "kept.txt", "--json", "cut.jsonl")
	show("verify", "--checkpoints", "kept.txt", "again.jsonl")
	show("verify", "--checkpoints", "forged.txt", "records.jsonl")
	show("verify", "--checkpoints", "half.txt", "records.jsonl")
	show("verify", "--checkpoints", "missing.txt", "records.jsonl")

	journal, kept := filepath.Join(data, "journal.db"), filepath.Join(data, "checkpoints")
	show("verify", data)
	beside, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, "beside.txt", beside)
	show("verify", "--checkpoints", "beside.txt", data)
	signet(t, "export", "--data", data, "--output", "bundle.zip")
	show("verify", "--checkpoints", "beside.txt", "bundle.zip")
	signet(t, "export", "--data", data, "--to", "7", "--output", "part.zip")
	show("verify", "--checkpoints", "beside.txt", "part.zip")
	early, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	if out := signet(t, "keys", "rotate", "--data", data); !strings.Contains(out, "rotated: ") {
		t.Fatal(out)
	}
	writeFile(t, journal, early) // the newest records are gone
	show("verify", data)
	show("keys", "rotate", "--data", data)
	writeFile(t, kept, []byte("no notes\n\nno notes\n\n"))
	show("verify", data)
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	show("verify", data)
	t.Chdir(sourceDir)
	golden(t, "records/checkpoints", all.String())
}
