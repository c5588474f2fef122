package main

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/receipts"
)

// TestVerifyAcked says of a journal how far a collector vouches for it: an ack is the
// collector's countersignature of the head that it was sent.
func TestVerifyAcked(t *testing.T) {
	dir := closedJournal(t)
	file := filepath.Join(dir, "ack.json")
	var chain struct {
		Chain string `json:"chain"`
		Head  string `json:"head"`
		Last  int64  `json:"last_seq"`
	}
	out, _, _ := strings.Cut(signet(t, "verify", "--json", dir), "\n")
	if err := json.Unmarshal([]byte(out), &chain); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "keys.json")
	keys, _, _ := strings.Cut(signet(t, "keys", "export", "--data", dir), "exit status")
	writeFile(t, own, []byte(keys))
	collector := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	stranger := ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", ed25519.SeedSize)))
	pub, _ := collector.Public().(ed25519.PublicKey)
	theirs := filepath.Join(t.TempDir(), "collector.json")
	writeFile(t, theirs, receipts.JWKS(receipts.ChainKey{KID: receipts.KeyID(pub), PublicKey: pub}))

	var all strings.Builder
	mask := strings.NewReplacer(dir, "DATA", own, "keys.json", theirs, "collector.json")
	show := func(what string, args ...string) {
		t.Helper()
		args = append([]string{"verify"}, append(args, dir)...)
		fmt.Fprintf(&all, "# %s\n$ signet %s\n%s\n", what, mask.Replace(strings.Join(args, " ")), steady(mask.Replace(signet(t, args...))))
	}
	pinned := []string{"--jwks", own, "--jwks", theirs}
	ack := func(key ed25519.PrivateKey, change func(a *receipts.Ack)) {
		a := &receipts.Ack{Chain: chain.Chain, Seq: chain.Last, ReceiptHash: chain.Head, Tenant: "acme", TS: time.Date(2026, 11, 23, 3, 5, 0, 0, time.UTC)}
		change(a)
		writeFile(t, file, receipts.SealAck(key, a))
	}
	show("never shipped", pinned...)
	ack(collector, func(*receipts.Ack) {})
	show("acknowledged", pinned...)
	show("acknowledged", append(pinned, "--json")...)
	show("acknowledged, by a key that is not known")
	// Without the checkpoints beside it, which were signed by the sidecar alone.
	if err := os.Remove(filepath.Join(dir, "checkpoints")); err != nil {
		t.Fatal(err)
	}
	show("acknowledged, without checkpoints", pinned...)
	show("acknowledged by a key that is not known, without checkpoints", "--jwks", own)
	ack(collector, func(a *receipts.Ack) { a.Seq = chain.Last + 7 })
	show("cut off", pinned...)
	ack(collector, func(a *receipts.Ack) { a.ReceiptHash = receipts.Hash(nil) })
	show("written anew", pinned...)
	ack(collector, func(a *receipts.Ack) { a.Chain = evidenceID(9) })
	show("of another chain", pinned...)
	ack(stranger, func(*receipts.Ack) {})
	show("by a stranger", pinned...)
	ack(collector, func(*receipts.Ack) {})
	writeFile(t, file, []byte(strings.Replace(string(readFile(t, file)), "acme", "acne", 1)))
	show("changed", pinned...)
	writeFile(t, file, []byte("{}"))
	show("damaged", pinned...)
	golden(t, "records/acked", all.String())
}
