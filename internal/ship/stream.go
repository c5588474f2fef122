package ship

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/receipts"
)

// window is how many batches are under way at once: enough for the collector to
// verify one while another commits.
const window = 4

var errGap = errors.New("the collector lacks records before those that were sent")

// RefusalError is what a collector did not take.
type RefusalError struct {
	Code       api.Refusal_Code
	Seq        int64 // 0: it is about no one record
	Message    string
	RetryAfter time.Duration // 0: not known
}

func (e *RefusalError) Error() string {
	if e.Seq == 0 {
		return fmt.Sprintf("the collector takes no records (%s): %s", e.Code, e.Message)
	}
	return fmt.Sprintf("the collector refuses record %d (%s): %s", e.Seq, e.Code, e.Message)
}

// connect makes a connection; c is nil before there is a credential.
func (s *Shipper) connect(c *credential) (*grpc.ClientConn, error) {
	host, _, err := net.SplitHostPort(s.Address)
	if err != nil {
		return nil, fmt.Errorf("collector.address: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: s.Roots, ServerName: host}
	if c != nil {
		cert, err := c.certificate()
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{cert}
	}
	// passthrough: the name is resolved by Dial, to what is pinned.
	return grpc.NewClient("passthrough:///"+s.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithContextDialer(s.Dial), grpc.WithNoProxy(), grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}))
}

// stream is one stream of a chain.
type stream struct {
	api.Ingest_ShipClient
	shipper *Shipper
	keys    *receipts.KeySet // of acks
	next    int64            // seq to send
	limit   limit            // of one batch
	pack    *packer
	slots   chan struct{} // a token for each batch under way
	end     func()        // ends the stream, and a Recv that waits
	keep    keeper
}

// keeper keeps an ack that was verified, beside the journal.
type keeper func(ctx context.Context, document []byte) error

// session opens a stream for what is in source, takes in what the collector has, and
// works.
func (s *Shipper) session(ctx context.Context, source Source, keep keeper, work func(context.Context, *stream) error) (err error) {
	if err := s.ensure(ctx, source); err != nil {
		return err
	}
	conn, err := s.connect(s.credential)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer func() {
		if status.Code(err) == codes.Unauthenticated { // revoked or expired: the next session enrols
			s.credential.NotAfter = time.Time{}
		}
	}()
	keys, err := receipts.ParseJWKS(s.credential.AckKeys)
	if err != nil {
		return fmt.Errorf("the collector's ack keys: %w", err)
	}
	pack, err := newPacker()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ship, err := api.NewIngestClient(conn).Ship(ctx)
	if err != nil {
		return fmt.Errorf("open a stream to the collector: %w", err)
	}
	st := &stream{Ingest_ShipClient: ship, shipper: s, keys: keys, pack: pack, slots: make(chan struct{}, window), end: cancel, keep: keep}
	if err := st.hello(s.credential.Chain); err != nil {
		return err
	}
	s.Observer.Connected(true)
	s.waiting.Store(nil)
	return work(ctx, st)
}

// hello learns what the collector has. One that says nothing is not waited for.
func (st *stream) hello(chain string) error {
	silent := time.AfterFunc(st.shipper.answerWithin, st.end)
	defer silent.Stop()
	err := st.Send(&api.ShipRequest{Message: &api.ShipRequest_Hello{Hello: &api.Hello{ChainId: chain}}})
	if err != nil && !errors.Is(err, io.EOF) { // after EOF, Recv says why
		return fmt.Errorf("open a stream to the collector: %w", err)
	}
	response, err := st.Recv()
	if err != nil {
		return fmt.Errorf("open a stream to the collector: %w", err)
	}
	state := response.GetState()
	if state == nil {
		return errors.New("the collector does not answer Hello with State")
	}
	st.next = max(state.GetNextSeq(), 1)
	st.limit = limit{records: state.GetMaxBatchRecords(), bytes: state.GetMaxBatchBytes()}
	if len(state.GetAck()) > 0 {
		return st.take(state.GetAck())
	}
	return nil
}

// take verifies an ack and keeps it.
func (st *stream) take(document []byte) error {
	ack, err := receipts.ParseAck(document, st.keys)
	if err != nil {
		return err
	}
	if ack.Chain != st.shipper.credential.Chain || ack.Tenant != st.shipper.Tenant {
		return fmt.Errorf("an ack for chain %s of tenant %s", ack.Chain, ack.Tenant)
	}
	if err := st.keep(st.Context(), document); err != nil {
		return err
	}
	st.shipper.Observer.Acked(ack.Seq, max(ack.Seq-st.shipper.acked, 0))
	st.shipper.acked = max(ack.Seq, st.shipper.acked)
	return nil
}

// follow sends records as they come, and heartbeats, until ctx ends.
func (st *stream) follow(ctx context.Context, chain Chain) error {
	return st.both(ctx,
		func(ctx context.Context) error { return st.sendAll(ctx, chain) },
		func() error { return st.receive(nil) })
}

// both sends and receives until one of them fails, or both are done. Where one
// fails, the stream ends, for which the other may be waiting.
func (st *stream) both(ctx context.Context, send func(context.Context) error, receive func() error) error {
	group, ctx := errgroup.WithContext(ctx)
	ending := func(err error) error {
		if err != nil {
			st.end()
		}
		return err
	}
	group.Go(func() error { return ending(receive()) })
	group.Go(func() error { return ending(send(ctx)) })
	return group.Wait()
}

func (st *stream) sendAll(ctx context.Context, chain Chain) error {
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	for due := true; ; {
		changed := chain.Changed()
		if err := st.sendUpTo(ctx, chain, chain.Head().Seq); err != nil {
			return err
		}
		if due { // behind the records, since one of them may bring in the key that signs it
			if err := st.heartbeat(ctx, chain); err != nil {
				return err
			}
		}
		due = false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			wait(ctx, gather)
		case <-beat.C:
			due = true
		}
	}
}

func (st *stream) heartbeat(ctx context.Context, chain Chain) error {
	return st.send(ctx, &api.ShipRequest{Message: &api.ShipRequest_Heartbeat{Heartbeat: chain.Heartbeat(time.Now())}})
}

// sendUpTo sends the records up to a seq, with at most a window under way.
func (st *stream) sendUpTo(ctx context.Context, source Source, to int64) error {
	for st.next <= to {
		batch, next, err := st.pack.batch(ctx, source, st.next, st.limit)
		if err != nil {
			return err
		}
		select {
		case st.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := st.send(ctx, &api.ShipRequest{Message: &api.ShipRequest_Batch{Batch: batch}}); err != nil {
			return err
		}
		st.next = next
	}
	return nil
}

// send sends a message. Where the stream has ended, the receiver is told why, and
// ends ctx.
func (st *stream) send(ctx context.Context, request *api.ShipRequest) error {
	err := st.Send(request)
	if errors.Is(err, io.EOF) {
		<-ctx.Done()
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("ship to the collector: %w", err)
	}
	return nil
}

// receive takes answers in, until the ack of done (nil: for ever).
func (st *stream) receive(done func(seq int64) bool) error {
	for {
		response, err := st.Recv()
		if err != nil {
			return fmt.Errorf("ship to the collector: %w", err)
		}
		switch {
		case response.GetAck() != nil:
			if err := st.take(response.GetAck().GetDocument()); err != nil {
				return err
			}
			select {
			case <-st.slots:
			default:
				return errors.New("the collector acknowledges what was not sent")
			}
			if done != nil && done(st.shipper.acked) {
				return nil
			}
		case response.GetGap() != nil:
			return errGap // the next stream begins where State says
		case response.GetRefusal() != nil:
			r := response.GetRefusal()
			return &RefusalError{
				Code: r.GetCode(), Seq: r.GetSeq(), Message: r.GetMessage(), RetryAfter: time.Duration(r.GetRetryAfterMs()) * time.Millisecond,
			}
		}
	}
}

// finish sends what is left of a chain that does not grow any more, and waits for
// the acks.
func (st *stream) finish(ctx context.Context, rest Source) error {
	head := rest.Head().Seq
	if st.next > head {
		return nil
	}
	return st.both(ctx,
		func(ctx context.Context) error { return st.sendUpTo(ctx, rest, head) },
		func() error { return st.receive(func(seq int64) bool { return seq >= head }) })
}
