// Package logproof is the auditor's side of a collector's log (RFC 6962, section
// 2.1): it opens the checkpoints that the collector signs (C2SP tlog-checkpoint)
// and witnesses cosign (C2SP tlog-cosignature), and reads the log's tiles (C2SP
// tlog-tiles), each held against a checkpoint.
//
// A leaf's data is the 32 bytes of a record's receipt_hash.
package logproof

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// OpenCheckpoint verifies a checkpoint with a verifier key (C2SP signed-note) and
// returns the tree that it is of. What witnesses say of it, Cosignatures tells.
func OpenCheckpoint(signed []byte, verifierKey string) (tlog.Tree, error) {
	v, err := note.NewVerifier(verifierKey)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("the log's verifier key: %w", err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("open the checkpoint: %w", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 || lines[0] != v.Name() {
		return tlog.Tree{}, fmt.Errorf("open the checkpoint: it is not of the log %s", v.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, fmt.Errorf("open the checkpoint: %q is no size", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("open the checkpoint: %w", err)
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

// LeafOf is the hash in the log of the record with a receipt_hash, sha256:HEX.
func LeafOf(receiptHash string) (tlog.Hash, error) {
	digits, found := strings.CutPrefix(receiptHash, "sha256:")
	data, err := hex.DecodeString(digits)
	if !found || err != nil || len(data) != tlog.HashSize {
		return tlog.Hash{}, fmt.Errorf("%.80q is no receipt_hash", receiptHash)
	}
	return tlog.RecordHash(data), nil
}
