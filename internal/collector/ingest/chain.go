package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
)

// chain is one chain as its stream sees it. One goroutine, the stream's, has it.
type chain struct {
	server *Server
	who    pki.Identity
	known  store.Chain // as it was stored when last seen
	opened int64       // seq of the head when the stream began
	pinned *receipts.KeySet

	verifier *receipts.Verifier // nil: to be resumed
	at       int64              // seq of the last record that it knows: the head, but where records are given up
	kept     int64              // seq of the verifier's state that is stored
	pending  store.Batch        // what the verifier has accepted and is not stored

	overQuota bool // the alarm is raised, and nothing was stored since
}

// open finds the chain of a client certificate.
func (s *Server) open(ctx context.Context, who pki.Identity) (*chain, error) {
	known, err := s.Store.Chain(ctx, who.Tenant, who.Chain)
	if errors.Is(err, store.ErrNotFound) {
		return nil, status.Errorf(codes.PermissionDenied, "chain %s is not enrolled", who.Chain)
	}
	if err != nil {
		return nil, s.unavailable(ctx, err)
	}
	keys, err := s.Store.ChainKeys(ctx, who.Tenant, who.Chain)
	if err != nil {
		return nil, s.unavailable(ctx, err)
	}
	pinned, err := receipts.ParseJWKS(receipts.JWKS(receipts.ChainKey{PublicKey: keys[0].PublicKey}))
	if err != nil {
		return nil, status.Errorf(codes.FailedPrecondition, "the key that chain %s was enrolled with: %v", who.Chain, err)
	}
	if err := s.Store.Heard(ctx, who.Tenant, who.Chain, time.Now()); err != nil {
		return nil, s.unavailable(ctx, err)
	}
	return &chain{server: s, who: who, known: known, opened: known.Head.Seq, pinned: pinned}, nil
}

// state is the answer to Hello.
func (c *chain) state() *api.State {
	s := &api.State{
		NextSeq:         c.known.Head.Seq + 1,
		MaxBatchRecords: int64(c.server.Limits.BatchRecords), MaxBatchBytes: int64(c.server.Limits.BatchBytes),
	}
	if c.known.Head.Seq > 0 {
		s.Ack = c.ack()
	}
	return s
}

// ack signs what is stored.
func (c *chain) ack() []byte {
	return receipts.SealAck(c.server.Key, &receipts.Ack{
		Chain: c.who.Chain, Tenant: c.who.Tenant, Seq: c.known.Head.Seq, ReceiptHash: c.known.Head.Hash, TS: time.Now(),
	})
}

// answer takes one message. A nil response says that there is nothing to say; an
// error ends the stream.
func (c *chain) answer(ctx context.Context, request *api.ShipRequest) (*api.ShipResponse, error) {
	if request.GetHeartbeat() != nil { // before anything is asked of the store
		if wait := c.server.Beats.Take(ctx, c.who.Tenant+"/"+c.who.Chain, 1); wait > 0 {
			return c.refuseFor(ctx, wait, api.Refusal_RATE_LIMITED, errors.New("the sidecar sends more heartbeats than it may")), nil
		}
	}
	// A stream may last for weeks: nothing is taken from it once its certificate
	// has expired or was revoked.
	if _, err := c.server.Authenticate(ctx); err != nil {
		return nil, err
	}
	switch {
	case request.GetBatch() != nil:
		return c.batch(ctx, request.GetBatch())
	case request.GetHeartbeat() != nil:
		return c.heartbeat(ctx, request.GetHeartbeat())
	}
	return nil, status.Error(codes.InvalidArgument, "a message that is neither a batch nor a heartbeat")
}

func (c *chain) batch(ctx context.Context, b *api.Batch) (*api.ShipResponse, error) {
	said, err := sizeOf(b, c.server.Limits)
	if wait := c.server.Records.Take(ctx, c.who.Tenant, said.cost(c.server.Limits)); wait > 0 {
		return c.refuseFor(ctx, wait, api.Refusal_RATE_LIMITED, errors.New("the tenant sends more records a second than it may")), nil
	}
	var lines [][]byte
	if err == nil {
		lines, err = expand(b.GetLines(), said)
	}
	switch {
	case errors.Is(err, errTooLarge):
		return c.refuse(ctx, api.Refusal_TOO_LARGE, 0, err), nil
	case err != nil:
		return c.refuse(ctx, api.Refusal_INVALID, 0, err), nil
	}
	// The chain may move under this stream, since another replica may have one of
	// the same sidecar: then the batch is looked at again from where the chain is.
	for {
		response, err := c.take(ctx, lines)
		moved, over := new(store.HeadMovedError), new(store.QuotaError)
		switch {
		case errors.As(err, &moved):
			c.known = moved.Chain
		case errors.As(err, &over):
			return c.refuseMore(ctx, over)
		case err != nil:
			return nil, c.server.unavailable(ctx, err)
		default:
			if c.verifier != nil && c.known.Head.Seq-c.kept >= keepEvery {
				c.keep(ctx)
			}
			return response, nil
		}
	}
}

// take has the records that are new verified and stored, and holds the others
// against those that are stored.
func (c *chain) take(ctx context.Context, lines [][]byte) (*api.ShipResponse, error) {
	first, err := receipts.Decode(lines[0])
	if err != nil {
		return c.refuse(ctx, api.Refusal_INVALID, 0, err), nil
	}
	switch place, next := first.RecordHead().Chain, c.known.Head.Seq+1; {
	case place.ID != c.who.Chain:
		return c.refuse(ctx, api.Refusal_IDENTITY, place.Seq, fmt.Errorf("a record of chain %s; the client certificate is for chain %s", place.ID, c.who.Chain)), nil
	case place.Seq > next && !ownsUp(first, next):
		return c.gap(ctx)
	case place.Seq < next:
		known, response, err := c.compare(ctx, lines, place.Seq)
		if response != nil || err != nil {
			return response, err
		}
		if known == len(lines) {
			return c.acknowledge(), nil
		}
		return c.take(ctx, lines[known:])
	}
	// Append has the last word on this. Here it spares the work, of which a sidecar
	// that was refused and does not wait could make much.
	if c.overQuota {
		if err := c.fits(ctx, lines); err != nil {
			return nil, err
		}
	}
	err = c.resume(ctx, c.goesOn(lines[0]))
	if errors.Is(err, errRemoved) {
		return c.invalid(ctx, first.RecordHead().Chain.Seq, err)
	}
	if err != nil {
		return nil, err
	}
	bad := c.verify(lines)
	if err := c.commit(ctx); err != nil {
		c.verifier = nil // it knows what is not stored
		return nil, err
	}
	if bad != nil {
		return c.refuseRecord(ctx, bad, lines)
	}
	return c.acknowledge(), nil
}

// ownsUp tells whether a record says itself that those from next on, up to it,
// are lost.
func ownsUp(r receipts.Record, next int64) bool {
	first := receipts.LostBefore(r)
	return first > 0 && first <= next
}

// goesOn is the seq of the record that the first of lines follows: the head, or,
// where the sidecar has lost what is stored here, the last one before that.
func (c *chain) goesOn(line []byte) int64 {
	r, err := receipts.Decode(line)
	if err != nil {
		return c.known.Head.Seq // for the verifier to say
	}
	first := receipts.LostBefore(r)
	if first == 0 || first > c.known.Head.Seq {
		return c.known.Head.Seq
	}
	return first - 1
}

// compare holds lines against what is stored from a seq on, and returns how many
// are stored already: up to the head, or up to where a seq is left out. At least
// one is.
func (c *chain) compare(ctx context.Context, lines [][]byte, from int64) (int, *api.ShipResponse, error) {
	hashes, err := c.server.Store.Hashes(ctx, c.who.Tenant, c.who.Chain, from, min(c.known.Head.Seq, from+int64(len(lines))-1))
	if err != nil {
		return 0, nil, err
	}
	for i, line := range lines {
		r, err := receipts.Decode(line)
		if err != nil {
			return 0, c.refuse(ctx, api.Refusal_INVALID, 0, err), nil
		}
		seq := r.RecordHead().Chain.Seq
		if seq > c.known.Head.Seq || seq != from+int64(i) {
			c.server.Observer.Repeated(i)
			return i, nil, nil
		}
		stored, there := hashes[seq]
		hash := receipts.Hash(receipts.AppendCore(nil, r))
		same := hash == stored
		if !there {
			var next []byte
			if i+1 < len(lines) {
				next = lines[i+1]
			}
			if same, err = c.wasStored(ctx, seq, hash, next); err != nil {
				return 0, nil, err
			}
		}
		if !same {
			response, err := c.contradicted(ctx, r, line, stored)
			return 0, response, err
		}
	}
	c.server.Observer.Repeated(len(lines))
	return len(lines), nil, nil
}

// commit has what the verifier accepted stored.
func (c *chain) commit(ctx context.Context) error {
	if len(c.pending.Records) == 0 {
		return nil
	}
	start := time.Now()
	known, err := c.server.Store.Append(ctx, c.who.Tenant, &c.pending)
	if err != nil {
		return err
	}
	c.server.Observer.Committed(len(c.pending.Records), time.Since(start))
	if lost := c.pending.GivenUp; lost != (store.Span{}) {
		c.server.Log.WarnContext(ctx, "a chain goes on without records that are stored here, which its sidecar has lost",
			"tenant", c.who.Tenant, "chain", c.who.Chain, "first", lost.First, "last", lost.Last)
	}
	c.known, c.at, c.pending, c.overQuota = known, known.Head.Seq, store.Batch{}, false
	c.server.Appended(c.who.Tenant)
	return nil
}

func (c *chain) acknowledge() *api.ShipResponse {
	return &api.ShipResponse{Message: &api.ShipResponse_Ack{Ack: &api.Ack{Document: c.ack()}}}
}

// gap asks for the records that are missing, unless another stream has brought
// some meanwhile.
func (c *chain) gap(ctx context.Context) (*api.ShipResponse, error) {
	if err := c.server.Store.NoteGap(ctx, c.who.Tenant, c.who.Chain, c.known.Head, time.Now()); err != nil {
		return nil, err
	}
	c.server.Observer.Gap()
	return &api.ShipResponse{Message: &api.ShipResponse_Gap{Gap: &api.Gap{NextSeq: c.known.Head.Seq + 1}}}, nil
}
