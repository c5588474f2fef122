package logproof

import (
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Included checks a proof that the record with a receipt_hash is the leaf at index
// of a log's tree. The proof's hashes are in hex, from the leaf's end to the
// root's.
func Included(tree tlog.Tree, index int64, proof []string, receiptHash string) error {
	leaf, err := LeafOf(receiptHash)
	if err != nil {
		return err
	}
	hashes := make(tlog.RecordProof, len(proof))
	for i, text := range proof {
		data, err := hex.DecodeString(text)
		if err != nil || len(data) != tlog.HashSize {
			return fmt.Errorf("%.80q is no hash of a proof", text)
		}
		hashes[i] = tlog.Hash(data)
	}
	if index < 0 || index >= tree.N {
		return fmt.Errorf("leaf %d is not among the %d of the log", index, tree.N)
	}
	if tlog.CheckRecord(hashes, tree.N, tree.Hash, index, leaf) != nil {
		return errors.New("the proof does not lead from the record to the root of the checkpoint")
	}
	return nil
}
