package sidecar

import (
	"errors"
	"net/http"
	"sync"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

// signing is the key that the journal signs with, and where it is kept.
type signing struct {
	mu   sync.Mutex // one rotation at a time
	file *journal.KeyFile
}

// serveKeys answers with the chain's keys, retired ones too, as a JWKS.
func (s *Sidecar) serveKeys(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(receipts.JWKS(s.journal.Keys()...)) // a reader that left is no concern of ours
}

// serveRotate has the chain go over to a new key, or to the one in ?key_file=
// where a secret store hands out keys. The answer is the key change.
func (s *Sidecar) serveRotate(w http.ResponseWriter, r *http.Request) {
	change, err := s.rotateKey(r.FormValue("key_file"))
	if err != nil {
		code := http.StatusUnprocessableEntity
		if _, unavailable := errors.AsType[*journal.UnavailableError](err); unavailable {
			code = http.StatusServiceUnavailable
		}
		http.Error(w, err.Error(), code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(receipts.Append(nil, change)) //nolint:gosec // a record in JSON, as its type says, to a command
}

func (s *Sidecar) rotateKey(file string) (*receipts.Event, error) {
	s.signing.mu.Lock()
	defer s.signing.mu.Unlock()
	change, err := s.signing.file.Rotate(s.journal, file)
	if change != nil {
		s.log.Info("signing key rotated", "seq", change.Chain.Seq, "kid", change.Key.KID, "retired", change.KID)
	}
	return change, err
}

// serveCheckpoint answers with the newest checkpoint, to be kept elsewhere; 404
// where there is none yet.
func (s *Sidecar) serveCheckpoint(w http.ResponseWriter, r *http.Request) {
	newest := s.journal.Checkpoint()
	if newest == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(newest.Text) // a reader that left is no concern of ours
}
