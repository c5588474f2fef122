// Package ship sends the journal's records to a collector: it enrols, sends what
// the collector lacks, keeps its signed acks, and comes back after whatever went
// wrong. A collector that is down holds nothing up.
package ship

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/receipts/journal"
)

// Chain is what is shipped: a *journal.Journal.
type Chain interface {
	Source
	// Changed is closed when the head has moved.
	Changed() <-chan struct{}
	SetAcked(ctx context.Context, document []byte) error
	Heartbeat(now time.Time) []byte
	ProveEnrolment(request []byte) (ed25519.PublicKey, []byte)
}

// Source is where records are read from.
type Source interface {
	Head() journal.Head
	// Range calls fn with every record from seq from on that was not pruned.
	Range(ctx context.Context, from int64, fn func(seq int64, line []byte) error) error
	// KeyRecords are those that introduce the chain's keys.
	KeyRecords() (lines [][]byte, err error)
}

// Options are what a Shipper is made of. All are required but Observer.
type Options struct {
	Address string         // of the collector, host:port
	Roots   *x509.CertPool // that may sign its certificate; there is no trust on first use
	Token   func() ([]byte, error)
	Dial    func(ctx context.Context, address string) (net.Conn, error)
	Dir     string // the data directory, for the credential
	Tenant  string
	Agent   string
	Chain   Chain
	Log     *slog.Logger
	// Observer is told what happens; nil: nobody.
	Observer Observer
}

// Observer is told what a Shipper does.
type Observer interface {
	Connected(up bool)
	Acked(seq, records int64)
	Failed(reason string) // of a closed set: see reasonOf
}

// Times of a Shipper.
const (
	firstPause     = time.Second
	longestPause   = time.Minute
	heartbeatEvery = 30 * time.Second
	// gather is how long records are waited for that go into one batch: each batch
	// costs a transaction there and a synced ack here, on the disk that the journal
	// waits for.
	gather = 200 * time.Millisecond
	// answerWithin is how long a collector may take that is asked for a certificate, or
	// for what it has: it looks things up.
	answerWithin = time.Minute
	// settledAfter is how long a stream must have lived for the next pause to be a
	// short one again.
	settledAfter = time.Minute
)

// Shipper ships one chain while Run does.
type Shipper struct {
	Options
	shipping     sync.Mutex  // held by Run and by Drain, which has what follows it
	credential   *credential // nil: not enrolled, or not read yet
	acked        int64       // seq
	refused      string      // the newest refusal, which is logged once
	pause        func(ctx context.Context, d time.Duration)
	answerWithin time.Duration
	waiting      atomic.Pointer[string] // why there is no stream; nil: there is one, or none was tried
}

// New returns a Shipper.
func New(o Options) *Shipper {
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	return &Shipper{Options: o, pause: wait, answerWithin: answerWithin}
}

// Waiting says why records wait in the journal: how the last stream ended, or why
// there was none. "" while there is a stream.
func (s *Shipper) Waiting() string {
	if why := s.waiting.Load(); why != nil {
		return *why
	}
	return ""
}

// Run ships until ctx ends. An ack may show that the journal is behind what it
// has shipped: see journal.SetAcked.
func (s *Shipper) Run(ctx context.Context) {
	s.shipping.Lock()
	defer s.shipping.Unlock()
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval, pause.RandomizationFactor = firstPause, longestPause, 0.5
	for ctx.Err() == nil {
		began := time.Now()
		err := s.session(ctx, s.Chain, s.Chain.SetAcked, s.follow)
		s.Observer.Connected(false)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > settledAfter {
			pause.Reset()
		}
		if !errors.Is(err, errDue) {
			s.tell(err)
		}
		s.pause(ctx, max(pause.NextBackOff(), retryAfter(err)))
	}
}

// errDue ends a session whose certificate is to be renewed, which the next one
// begins with.
var errDue = errors.New("the client certificate is due")

// follow ships until the certificate is due. A stream may last for weeks, and who
// renews after the certificate has expired needs a token that is good still.
func (s *Shipper) follow(ctx context.Context, st *stream) error {
	ctx, cancel := context.WithDeadlineCause(ctx, s.credential.RenewAfter, errDue)
	defer cancel()
	err := st.follow(ctx, s.Chain)
	if errors.Is(context.Cause(ctx), errDue) {
		return errDue
	}
	return err
}

// Drain ships what a stopped chain has left, its clean stop among it, until ctx
// ends. keep keeps the acks. It waits for Run, whose ctx must have ended.
func (s *Shipper) Drain(ctx context.Context, rest Source, keep func(document []byte) error) error {
	s.shipping.Lock()
	defer s.shipping.Unlock()
	return s.session(ctx, rest,
		func(_ context.Context, document []byte) error { return keep(document) },
		func(ctx context.Context, st *stream) error { return st.finish(ctx, rest) })
}

// tell logs what went wrong, once for each thing.
func (s *Shipper) tell(err error) {
	s.Observer.Failed(reasonOf(err))
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.waiting.Store(&text)
	if text == s.refused {
		return
	}
	s.refused = text
	s.Log.Warn("collector: records wait in the journal", "address", s.Address, "error", text)
}

// reasonOf is what a failure is counted as: unreachable, credential, rollback,
// quota, refused, gap or other.
func reasonOf(err error) string {
	refusal := new(RefusalError)
	switch {
	case errors.As(err, new(*journal.RollbackError)):
		return "rollback"
	case errors.As(err, &refusal) && refusal.Code == api.Refusal_QUOTA:
		return "quota"
	case errors.As(err, &refusal):
		return "refused"
	case errors.Is(err, errGap):
		return "gap"
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		return "unreachable"
	case codes.Unauthenticated, codes.PermissionDenied, codes.AlreadyExists:
		return "credential"
	}
	return "other"
}

// retryAfter is how long the collector has asked to wait, and up to a quarter more:
// not all who were asked at once come back at once.
func retryAfter(err error) time.Duration {
	refusal := new(RefusalError)
	if errors.As(err, &refusal) {
		return refusal.RetryAfter + rand.N(refusal.RetryAfter/4+1) //nolint:gosec // nobody gains by guessing it
	}
	return 0
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// nobody is an Observer that does nothing.
type nobody struct{}

func (nobody) Connected(bool)     {}
func (nobody) Acked(int64, int64) {}
func (nobody) Failed(string)      {}
