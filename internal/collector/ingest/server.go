// Package ingest takes records from sidecars: it verifies them, has them stored,
// and answers with signed acks.
package ingest

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/collector/store"
)

// Store is what ingest needs of one.
type Store interface {
	store.Chains
	store.Alarms
	Stored(ctx context.Context, tenant string) (store.Stored, error)
	Range(ctx context.Context, tenant, chain string, from int64, limit int) ([]store.Record, error)
	Certificate(ctx context.Context, tenant, serial string) (store.Certificate, error)
}

// Options are what a Server is made of. All are required but Observer.
type Options struct {
	Store    Store
	Key      ed25519.PrivateKey // that signs acks
	Log      *slog.Logger
	Observer Observer            // nil: nobody
	Appended func(tenant string) // called after each commit: the log has something to take in
	// Logged tells whether a tenant's log has a record with a receipt_hash as that at a
	// place of a chain.
	Logged  func(ctx context.Context, tenant, chain string, seq int64, receiptHash string) (bool, error)
	Records Budget          // of each tenant; it holds a batch at least
	Beats   Budget          // heartbeats of each chain
	Lines   Budget          // seconds of silence in the log, for each chain and reason; it holds LineEvery
	Ending  <-chan struct{} // closed when streams are to end behind the message at hand
	Limits  Limits          // zero members are the defaults
}

// Budget holds each of those who send to a number of things a second.
type Budget interface {
	// Take takes n from the budget of a sender. Where there is less left it takes
	// nothing, and says after how long there will be as much.
	Take(ctx context.Context, who string, n int) (wait time.Duration)
}

// Limits bound what one sidecar can make the collector hold.
type Limits struct {
	BatchRecords int // DefaultBatchRecords by default
	BatchBytes   int // of lines, before compression; 8 MiB by default, above the longest record
	// Unread is how long an answer may find no room, since the sidecar reads none. A
	// minute by default: a sidecar takes an answer within the time of a round trip.
	Unread time.Duration
	Hello  time.Duration // for how long a new stream may say nothing; 10 seconds by default
}

// The defaults of Limits.
const (
	DefaultBatchRecords = 1000
	defaultBatchBytes   = 8 << 20
	defaultUnread       = time.Minute
	defaultHello        = 10 * time.Second
)

// MaxMessage is the longest message that a sidecar sends, in bytes: a batch that
// compression has not made smaller, and what is around it.
func (l Limits) MaxMessage() int { return l.withDefaults().BatchBytes + 64<<10 }

func (l Limits) withDefaults() Limits {
	return Limits{
		BatchRecords: cmp.Or(l.BatchRecords, DefaultBatchRecords), BatchBytes: cmp.Or(l.BatchBytes, defaultBatchBytes),
		Unread: cmp.Or(l.Unread, defaultUnread), Hello: cmp.Or(l.Hello, defaultHello),
	}
}

// Observer is told what ingest does.
type Observer interface {
	Stream(open bool)
	Committed(records int, took time.Duration)
	Repeated(records int) // stored already, and acknowledged again
	Refused(code string)
	Gap()
	Unread()           // a connection was cut, since its sidecar reads no answers
	Alarm(kind string) // that was not open before
}

// Server is the Ingest service.
type Server struct {
	api.UnimplementedIngestServer
	Options
}

// NewServer returns a Server.
func NewServer(o Options) *Server {
	o.Limits = o.Limits.withDefaults()
	if o.Observer == nil {
		o.Observer = silent{}
	}
	return &Server{Options: o}
}

// Ship implements api.IngestServer.
func (s *Server) Ship(stream api.Ingest_ShipServer) error {
	ctx := stream.Context()
	who, err := s.Authenticate(ctx)
	if err != nil {
		return err
	}
	s.Observer.Stream(true)
	defer s.Observer.Stream(false)
	messages := receive(stream)
	if err := s.greet(ctx, who, messages); err != nil {
		return err
	}
	c, err := s.open(ctx, who)
	if err != nil {
		return err
	}
	defer c.keep(context.WithoutCancel(ctx))
	response := &api.ShipResponse{Message: &api.ShipResponse_State{State: c.state()}}
	for {
		if response != nil {
			if err := c.send(stream, response); err != nil {
				return err
			}
		}
		request, err := s.next(ctx, messages)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if response, err = c.answer(ctx, request); err != nil {
			return err
		}
	}
}

// greet waits for Hello, which a sidecar has ready when it opens a stream.
func (s *Server) greet(ctx context.Context, who pki.Identity, messages <-chan message) error {
	waiting, cancel := context.WithTimeout(ctx, s.Limits.Hello)
	defer cancel()
	first, err := s.next(waiting, messages)
	hello := first.GetHello()
	switch {
	case status.Code(err) == codes.DeadlineExceeded && ctx.Err() == nil:
		return status.Errorf(codes.DeadlineExceeded, "no Hello within %s", s.Limits.Hello)
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case hello == nil:
		return status.Error(codes.InvalidArgument, "a stream begins with Hello")
	case hello.GetChainId() != who.Chain:
		return status.Errorf(codes.PermissionDenied, "the client certificate is for chain %s", who.Chain)
	}
	return nil
}

// next waits for a message; io.EOF where the sidecar has no more.
func (s *Server) next(ctx context.Context, messages <-chan message) (*api.ShipRequest, error) {
	select {
	case <-s.Ending:
		return nil, status.Error(codes.Unavailable, "this collector stops: go on at another, or when it is back")
	case <-ctx.Done(): // the sidecar has gone
		return nil, status.FromContextError(ctx.Err()).Err()
	case next := <-messages:
		return next.request, next.err
	}
}

// message is what Recv returns.
type message struct {
	request *api.ShipRequest
	err     error
}

// receive takes messages from a stream, one ahead of who handles them. It ends
// with the stream, which ends with Ship.
func receive(stream api.Ingest_ShipServer) <-chan message {
	messages := make(chan message)
	go func() {
		for {
			request, err := stream.Recv()
			select {
			case messages <- message{request, err}:
			case <-stream.Context().Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return messages
}

// Authenticate finds out whose call it is: by the client certificate alone. Its
// errors are gRPC statuses.
func (s *Server) Authenticate(ctx context.Context) (pki.Identity, error) {
	connection, ok := connectionOf(ctx)
	if !ok || len(connection.State.VerifiedChains) == 0 {
		return pki.Identity{}, status.Error(codes.Unauthenticated, "no client certificate: enrol first")
	}
	who, err := pki.IdentityOf(connection.State.VerifiedChains[0][0])
	if err != nil {
		return pki.Identity{}, status.Error(codes.Unauthenticated, err.Error())
	}
	cert, err := s.Store.Certificate(ctx, who.Tenant, who.Serial)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return pki.Identity{}, status.Errorf(codes.Unauthenticated, "the client certificate %s was not issued here: enrol again", who.Serial)
	case err != nil:
		return pki.Identity{}, s.unavailable(ctx, err)
	case !cert.Revoked.IsZero():
		return pki.Identity{}, status.Errorf(codes.Unauthenticated, "the client certificate %s was revoked", who.Serial)
	case !time.Now().Before(cert.NotAfter):
		return pki.Identity{}, status.Errorf(codes.Unauthenticated, "the client certificate %s has expired", who.Serial)
	case cert.Chain != who.Chain:
		return pki.Identity{}, status.Errorf(codes.Unauthenticated, "the client certificate %s is for another chain", who.Serial)
	}
	return who, nil
}

// unavailable is for errors of the store, whose text is no business of sidecars.
func (s *Server) unavailable(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		s.Log.WarnContext(ctx, "the store does not answer", "error", err)
	}
	return status.Error(codes.Unavailable, "the store does not answer")
}

// silent is an Observer that is nobody.
type silent struct{}

func (silent) Stream(bool)                  {}
func (silent) Committed(int, time.Duration) {}
func (silent) Repeated(int)                 {}
func (silent) Refused(string)               {}
func (silent) Gap()                         {}
func (silent) Unread()                      {}
func (silent) Alarm(string)                 {}
