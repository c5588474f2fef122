package merkle_test

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts/logproof"
)

// A record is proved up to the checkpoint that the most witnesses have cosigned, and
// up to the newest where none of those has it.
func TestProofsByCosigned(t *testing.T) {
	k, s := newLog()
	key, err := s.VerifierKey("acme")
	if err != nil {
		t.Fatal(err)
	}
	p := merkle.Prover{Store: k}
	if all, err := p.Checkpoints(t.Context(), "acme"); err != nil || len(all) != 0 {
		t.Errorf("a log that has not begun: %v, %v", all, err)
	}
	cosigned := func(by ...string) {
		var lines []store.Cosignature
		for _, witness := range by {
			lines = append(lines, store.Cosignature{Size: k.state.Size, Witness: witness, Checkpoint: k.state.Checkpoint, Line: "— " + witness + " AAAAAAAA"})
		}
		k.signed = slices.Concat(lines, k.signed)
	}
	for range 3 { // 300, 600 and 900 records
		if err := k.grow(t.Context(), s, 300); err != nil {
			t.Fatal(err)
		}
		cosigned(map[int64][]string{300: {"a", "b"}, 600: {"b"}, 900: nil}[k.state.Size]...)
	}
	for index, want := range map[int64]struct {
		size int64
		by   int
	}{0: {300, 2}, 299: {300, 2}, 300: {600, 1}, 599: {600, 1}, 600: {900, 0}, 899: {900, 0}} {
		proof, err := p.Inclusion(t.Context(), "acme", "", index+1)
		if err != nil || proof.Size != want.size || len(proof.By) != want.by {
			t.Fatalf("leaf %d is proved up to %+v, %v; want %+v", index, proof, err, want)
		}
		tree, err := logproof.OpenCheckpoint([]byte(proof.Checkpoint), key)
		if err != nil || tree.N != want.size {
			t.Fatalf("leaf %d: the checkpoint is of %d, %v", index, tree.N, err)
		}
		if err := tlog.CheckRecord(hashesOf(t, proof), tree.N, tree.Hash, index, tlog.RecordHash(k.leaves[index][:])); err != nil {
			t.Errorf("leaf %d: %v", index, err)
		}
		if _, others, err := logproof.Cosignatures([]byte(proof.Checkpoint), nil); err != nil || others != 1+want.by {
			t.Errorf("leaf %d: %d signatures, %v", index, others, err)
		}
	}
	all, err := p.Checkpoints(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	for witness, want := range map[string]string{"a": "300", "b": "600", "c": "none"} {
		got := "none"
		if c := merkle.Newest(all, witness); c != nil {
			got = fmt.Sprint(c.Size)
		}
		if got != want {
			t.Errorf("the newest of %s is of %s, want %s", witness, got, want)
		}
	}
}
