package journal

import (
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"time"

	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/receipts"
)

// Heartbeat is a signed statement that the sidecar lives at a time and where its
// chain ends (signet.heartbeat/1).
func (j *Journal) Heartbeat(now time.Time) []byte {
	head, sign := j.signedHead()
	return receipts.SealHeartbeat(sign.key, &receipts.Heartbeat{Chain: head.Chain, Seq: head.Seq, ReceiptHash: head.Hash, TS: now})
}

// ProveEnrolment proves, with the key that signs the chain now, that a request for
// a client certificate comes from where the chain is written.
func (j *Journal) ProveEnrolment(request []byte) (ed25519.PublicKey, []byte) {
	_, sign := j.signedHead()
	return publicOf(sign.key), receipts.SignEnrolment(sign.key, request)
}

// SetAckedStopped keeps an acknowledgement beside the journal of a sidecar that
// does not run any more. The next start holds the chain against it.
func SetAckedStopped(dir string, document []byte) error {
	ack, err := parseAck(document)
	if err != nil {
		return err
	}
	before, err := loadAck(dir)
	if err != nil {
		return err
	}
	if before != nil && before.Chain == ack.Chain && before.Seq >= ack.Seq {
		return nil
	}
	if err := durable.WriteFile(filepath.Join(dir, ackName), document, 0o600); err != nil {
		return fmt.Errorf("keep acknowledgement: %w", err)
	}
	return nil
}
