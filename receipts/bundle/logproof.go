package bundle

import (
	"crypto/ed25519"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/logproof"
)

// CauseLog is that the proof that the last record is in a log is none.
const CauseLog receipts.Cause = "log"

// LogProof shows that the last record, and with it every one that it follows, is
// in the log of the collector that exported the bundle (RFC 6962, section 2.1).
type LogProof struct {
	Checkpoint string   `json:"checkpoint"` // C2SP tlog-checkpoint, signed by the manifest's key, and perhaps cosigned by witnesses
	Index      int64    `json:"index"`      // of the record's leaf
	Proof      []string `json:"proof"`      // hashes in hex, from the leaf's end of the tree to the root's
}

// Logged is what the proof that the last record is in a log is worth.
type Logged struct {
	Cosignatures []logproof.Cosignature // of the witnesses of the policy
	Unchecked    int                    // signatures beside these and the log's
}

// check holds the proof against the last record's hash, and its checkpoint against
// the policy, if there is one.
func (p *LogProof) check(key ed25519.PublicKey, receiptHash string, policy *logproof.Policy) (l Logged, err error) {
	origin, _, _ := strings.Cut(p.Checkpoint, "\n")
	verifierKey, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return l, fmt.Errorf("the manifest's key: %w", err)
	}
	tree, err := logproof.OpenCheckpoint([]byte(p.Checkpoint), verifierKey)
	if err != nil {
		return l, err
	}
	if err := logproof.Included(tree, p.Index, p.Proof, receiptHash); err != nil {
		return l, err
	}
	l.Cosignatures, l.Unchecked, err = policy.Check([]byte(p.Checkpoint), verifierKey)
	return l, err
}
