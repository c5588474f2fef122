package resolver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxFailures is how many questions in a row an upstream leaves without an
	// answer before it is passed over: more than one slow name costs.
	maxFailures = 3
	// passOver is how long it is passed over before a lookup tries it again.
	passOver = 30 * time.Second
)

// server is an upstream and whether it is well. It is so until it has left
// questions without an answer, of whatever code; then others are asked in its
// place, and one lookup at a time finds out whether it answers again. Where there
// is no other it is asked all the same.
type server struct {
	upstream
	observer Observer
	log      *slog.Logger

	mu       sync.Mutex // guards all below
	failures int        // in a row
	passed   bool
	again    time.Time // when it is tried again
}

// standing is what a lookup should do with a server.
type standing int

const (
	well standing = iota
	due           // passed over, and this lookup is to find out whether it is well
	passedOver
)

// stand says how s is to be used now. Where it is due, which it is only to a
// lookup that may probe, it is not again for a while.
func (s *server) stand(now time.Time, mayProbe bool) standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.passed:
		return well
	case !mayProbe || now.Before(s.again):
		return passedOver
	}
	s.again = now.Add(passOver)
	return due
}

// answered notes that s has answered.
func (s *server) answered() {
	s.mu.Lock()
	recovered := s.passed
	s.failures, s.passed = 0, false
	s.mu.Unlock()
	if recovered {
		s.observer.Upstream(s.String(), true)
		s.log.Info("the DNS upstream answers again", "upstream", s.String())
	}
}

// failed notes that s has left a question without an answer.
func (s *server) failed(now time.Time, err error) {
	if errors.Is(err, context.Canceled) {
		return // it is the resolver that gave up
	}
	s.mu.Lock()
	s.failures++
	falls := !s.passed && s.failures >= maxFailures
	if falls {
		s.passed, s.again = true, now.Add(passOver)
	}
	s.mu.Unlock()
	if falls {
		s.observer.Upstream(s.String(), false)
		s.log.Warn("the DNS upstream does not answer and is passed over", "upstream", s.String(), "error", err)
	}
}
