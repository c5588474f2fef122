package journal

import "github.com/google/uuid"

// NewReceiptID makes a UUIDv7 (RFC 9562). Ids of one process ascend, which keeps
// new intents together in the journal.
func NewReceiptID() string {
	return uuid.Must(uuid.NewV7()).String() // fails only without system randomness, and then nothing can be signed
}
