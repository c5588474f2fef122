package bundle

import (
	"strings"
	"testing"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/checkpoint"
)

// notedChain has checkpoints of seq 2, 4, 5 and 6, the last by the key that seq 5
// introduces.
func notedChain(t *testing.T) *chain {
	t.Helper()
	c := newChain(1)
	c.exchange("a", "t")
	c.checkpoint(t)
	c.exchange("a", "t")
	c.exchange("a", "t")
	c.checkpoint(t)
	c.changeKey(2)
	c.checkpoint(t)
	c.exchange("a", "u")
	c.checkpoint(t)
	return c
}

// The checkpoints of a bundle are those of its records, and are held against them
// whatever the manifest's signature is worth.
func TestCheckpoints(t *testing.T) {
	c, other := notedChain(t), newChain(3)
	other.exchange("a", "t")
	other.checkpoint(t)
	stranger := &chain{id: c.id, key: testKey(9), head: c.head}
	stranger.head.Chain.Seq = 4
	stranger.checkpoint(t)
	// Whoever has the key writes seq 4 anew, and leaves the checkpoint.
	rewritten := resealed(t, testKey(1), c.lines, 3, 4, func(r map[string]any) {
		if _, ok := r["agent"]; ok {
			r["agent"] = "b"
		}
	})
	rewritten = resealed(t, testKey(2), rewritten, 5, 5, func(r map[string]any) {
		place, _ := r["chain"].(map[string]any)
		place["prev"] = string(memberString(rewritten[4], `,"receipt_hash":"`))
	})
	text := func(n checkpoint.Note) string { return string(n.Text) }
	in, keys := &inputs{t: t, dir: t.TempDir()}, receipts.JWKS(receipts.ChainKey{PublicKey: public(testKey(1))})
	pinned, err := receipts.ParseJWKS(keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		lines [][]byte
		notes []string // nil for the chain's own
		want  verdict
	}{
		{"as they are", c.lines, nil, verdict{Verified: true}},
		{"another chain's", c.lines, []string{text(other.notes[0])}, verdict{Seq: 2, Cause: receipts.CauseCheckpoint}},
		{"a stranger's", c.lines, []string{text(stranger.notes[0])}, verdict{Seq: 4, Cause: receipts.CauseCheckpoint}},
		{"another hash", c.lines, []string{strings.Replace(text(c.notes[0]), "\n2\n", "\n3\n", 1)}, verdict{Seq: 3, Cause: receipts.CauseCheckpoint}},
		{"out of order", c.lines, []string{text(c.notes[1]), text(c.notes[0])}, verdict{Cause: receipts.CauseField}},
		{"twice", c.lines, []string{text(c.notes[1]), text(c.notes[1])}, verdict{Verified: true}},
		{"of a record after the last", c.lines[:5], []string{text(c.notes[3])}, verdict{Cause: receipts.CauseField}},
		{"no note", c.lines, []string{"nonsense"}, verdict{Cause: receipts.CauseField}},
		{"not signed", c.lines, []string{strings.SplitAfter(text(c.notes[0]), "\n\n")[0]}, verdict{Cause: receipts.CauseField}},
		{"a fifth line", c.lines, []string{strings.Replace(text(c.notes[0]), "\n\n", "\nx\n\n", 1)}, verdict{Cause: receipts.CauseField}},
		{"a carriage return", c.lines, []string{strings.Replace(text(c.notes[0]), "\n2", "\r\n2", 1)}, verdict{Cause: receipts.CauseField}},
		{"the records written anew", rewritten, nil, verdict{Seq: 4, Cause: receipts.CauseRewrite}},
	} {
		o := c.options()
		m := parseLine(t, manifestOf(t, o, tt.lines))
		if tt.notes != nil {
			m["checkpoints"] = tt.notes
		}
		if got := in.bundle(forge(t, tt.lines, signManifest(t, c.key, m)), pinned); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	got, err := verify(bundleOf(t, c.options(), c.lines[1:4]), keySet(t, c.keys...))
	if err != nil || got.Checkpoints.Held != 2 || got.Checkpoints.Newest.Seq != 4 {
		t.Errorf("%+v, %v", got.Checkpoints, err)
	}
	in.agree(keys)
}
