package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-egress/signet/internal/collector/merkle"
)

// hashes are the stored hashes of a tree in memory.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indices []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indices))
	for i, index := range indices {
		out[i] = h[index]
	}
	return out, nil
}

// Each leaf of each small tree is drawn up to that tree's root, and no leaf is with
// one hash more than it needs.
func TestTree(t *testing.T) {
	var stored hashes
	var leaves [][32]byte
	for size := int64(1); size <= 40; size++ {
		leaf := sha256.Sum256([]byte(fmt.Sprint(size)))
		leaves = append(leaves, leaf)
		added, err := tlog.StoredHashes(size-1, leaf[:], stored)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, added...)
		root, err := tlog.TreeHash(size, stored)
		if err != nil {
			t.Fatal(err)
		}
		for index, leaf := range leaves {
			p, err := tlog.ProveRecord(size, int64(index), stored)
			if err != nil {
				t.Fatal(err)
			}
			proof := &merkle.Proof{Index: int64(index), Size: size}
			for _, h := range p {
				proof.Hashes = append(proof.Hashes, hex.EncodeToString(h[:]))
			}
			hash := "sha256:" + hex.EncodeToString(leaf[:])
			picture, got, err := drawTree(proof, hash)
			if err != nil || got != root || len(picture.Nodes) != 2*len(p)+1 || picture.Nodes[0].Text != begin(root) {
				t.Errorf("leaf %d of %d is drawn up to %s, %v; want %s", index, size, got, err, root)
			}
			proof.Hashes = append(proof.Hashes, hash[len("sha256:"):])
			if _, _, err := drawTree(proof, hash); err == nil || !strings.Contains(err.Error(), "hashes") {
				t.Errorf("leaf %d of %d with one hash more: %v", index, size, err)
			}
		}
	}
}
