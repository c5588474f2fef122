package audit

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/signet-egress/signet/receipts/bundle"
)

// Request says what an export holds.
type Request struct {
	From    time.Time      `json:"from"`
	To      time.Time      `json:"to"`
	Chain   string         `json:"chain,omitempty"`   // "": every chain of the period
	Agent   string         `json:"agent,omitempty"`   // other agents' receipts lose their detail
	Trace   string         `json:"trace,omitempty"`   // likewise
	Profile bundle.Profile `json:"profile,omitempty"` // "" is full
}

// RequestError says which member of a Request is wrong, and how it is written.
type RequestError struct{ Member, Remedy string }

func (e *RequestError) Error() string { return e.Member + ": " + e.Remedy }

// RemovedError says that records of the period were removed, so that no bundle could
// hold all of it.
type RemovedError struct {
	Before time.Time // from here on all are there
}

func (e *RemovedError) Error() string {
	return fmt.Sprintf("records of this period were removed, since they were kept for long enough; from %s on all are there", e.Before.UTC().Format(time.RFC3339))
}

func (r *Request) check() error {
	switch {
	case r.From.IsZero() || !r.From.Before(r.To):
		return &RequestError{"from", "from and to are times, from before to"}
	case r.Profile != "" && r.Profile != bundle.Full && r.Profile != bundle.Core:
		return &RequestError{"profile", "it is full or core"}
	case r.Chain != "" && !isChain(r.Chain):
		return &RequestError{"chain", "it is a chain id"}
	}
	return nil
}

func isChain(text string) bool {
	id, err := uuid.Parse(text)
	return err == nil && id.String() == text
}
