package journal

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

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

// KeyRecords are the records that introduce the chain's keys: its genesis, and its
// key changes.
func (j *Journal) KeyRecords() ([][]byte, error) { return keyRecords(j.view) }

// KeyRecords are those that introduce the chain's keys, as of a Journal.
func (r *Reader) KeyRecords() ([][]byte, error) { return keyRecords(r.store.view) }

func keyRecords(view func(func(*bbolt.Tx) error) error) (lines [][]byte, err error) {
	err = view(func(tx *bbolt.Tx) error {
		return tx.Bucket(keysBucket).ForEach(func(_, line []byte) error {
			lines = append(lines, bytes.Clone(line))
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the chain's keys: %w", err)
	}
	return lines, nil
}

// SetAckedStopped keeps an acknowledgement beside the journal of a sidecar that
// does not run any more. The next start holds the chain against it.
func SetAckedStopped(dir string, document []byte) error {
	ack, err := parseAck(document)
	if err != nil {
		return err
	}
	before, err := ReadAck(dir)
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
