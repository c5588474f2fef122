package collector_test

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/stores"
)

// A stream begins with one Hello, and all else follows it: what comes out of turn
// ends the stream, and is not looked at.
func TestOrderOfMessages(t *testing.T) { onEach(t, testOrderOfMessages) }

func testOrderOfMessages(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	for name, messages := range map[string][]*api.ShipRequest{
		"a batch before Hello":     {batch(c.Lines...)},
		"a heartbeat before Hello": {heartbeat(c.Heartbeat(time.Now()))},
		"nothing before Hello":     {{}},
		"a second Hello":           {hello(c.ID), hello(c.ID)},
		"nothing after Hello":      {hello(c.ID), {}},
	} {
		s := w.dial(cert)
		for _, message := range messages {
			_ = s.Send(message) // Recv says why
		}
		var response *api.ShipResponse
		var err error
		for range messages { // each Hello but the last is answered
			response, err = s.Recv()
		}
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v, %v", name, response, err)
		}
	}
	if known, err := w.store.Chain(t.Context(), "acme", c.ID); err != nil || known.Head.Seq != 0 || !known.Beat.At.IsZero() {
		t.Errorf("the chain is %+v, %v", known, err)
	}
	s := w.open(cert, c.ID)
	s.acked(c.Head(), c.Lines...)
}

// A sidecar that floods heartbeats has a few of them written down. The others are
// refused, counted and logged once, on another stream too, and other chains are
// not concerned.
func TestHeartbeatFlood(t *testing.T) { onEach(t, testHeartbeatFlood) }

func testHeartbeatFlood(t *testing.T, w *world) {
	beats := new(beatCounter)
	beats.Store = w.store
	w = start(t, beats)
	c, other := chains.New("acme", "billing-agent", time.Now()), chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	s := w.open(cert, c.ID)
	s.acked(c.Head(), c.Lines...)
	const flood = 500
	began := time.Now()
	for range flood {
		s.send(heartbeat(c.Heartbeat(time.Now())))
	}
	s.send(batch(c.Lines...)) // which is acknowledged behind the refusals
	refused := 0
	for response := s.receive(); response.GetAck() == nil; response = s.receive() {
		if r := response.GetRefusal(); r.GetCode() != api.Refusal_RATE_LIMITED || r.GetRetryAfterMs() < 1 {
			t.Fatalf("got %v", response)
		}
		refused++
	}
	most := 10 + int64(time.Since(began)/time.Second) + 1 // a burst, and one a second
	if written := beats.n.Load(); written > most || int(written)+refused != flood {
		t.Errorf("of %d heartbeats %d are written down and %d refused, want %d written at most", flood, written, refused, most)
	}
	if n := strings.Count(w.log.String(), "code=RATE_LIMITED"); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	w.open(w.enrol(other), other.ID).beat(other.Heartbeat(time.Now()), 0)
}

// beatCounter counts heartbeats that are written down.
type beatCounter struct {
	store.Store
	n atomic.Int64
}

func (b *beatCounter) Beat(ctx context.Context, tenant, chain string, beat store.Beat) error {
	b.n.Add(1)
	return b.Store.Beat(ctx, tenant, chain, beat)
}

// A client that sends and reads no answer is cut when its window is full: neither
// its stream nor what it was to be told stays. Its chain goes on.
func TestUnreadAnswers(t *testing.T) {
	w := start(t, open(t, "sqlite:"+filepath.Join(t.TempDir(), "collector.db")))
	w.limits.Unread = time.Second
	w.serve()
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	s := w.openWith(cert, c.ID, grpc.WithInitialWindowSize(64<<10)) // fixed: it does not grow
	s.acked(c.Head(), c.Lines...)
	sent := 0
	for beat := heartbeat(c.Heartbeat(time.Now())); s.Send(beat) == nil; { // too many, which costs the store nothing
		sent++
	}
	w.waitForEnd()
	w.wantMetrics("signet_ingest_unread_total 1")
	answers := 0
	var err error
	for err == nil {
		_, err = s.Recv()
		answers++
	}
	if status.Code(err) != codes.Unavailable || answers >= sent {
		t.Errorf("%d of %d messages were answered, and then %v", answers, sent, err)
	}
	if !strings.Contains(w.log.String(), "does not read the answers") {
		t.Errorf("the log has\n%s", w.log.String())
	}
	s = w.open(cert, c.ID)
	c.Exchanges(1)
	s.acked(c.Head(), c.Lines[1:]...)
}

// What a connection may hold of messages that are not whole is bounded by its
// streams, of which the server's first frame says how many there may be (RFC 9113,
// section 6.5.2).
func TestStreamsOfAConnection(t *testing.T) {
	w := start(t, stores.SQLite(t))
	conn, err := tls.Dial("tcp", w.collector.Addr().String(), &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: w.authority.Pool(), NextProtos: []string{"h2"},
		Certificates: []tls.Certificate{w.enrol(chains.New("acme", "billing-agent", time.Now()))},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	frame, err := framer.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok {
		t.Fatalf("the first frame is %v", frame)
	}
	if most, told := settings.Value(http2.SettingMaxConcurrentStreams); !told || most > 2 {
		t.Errorf("a connection may have %d streams, told: %t", most, told)
	}
}

// A client that goes away in mid-batch, wherever that is cut, leaves nothing of it,
// and comes back to where it was.
func TestCutBatches(t *testing.T) { onEach(t, testCutBatches) }

func testCutBatches(t *testing.T, w *world) {
	c := chains.New("acme", "billing-agent", time.Now())
	cert := w.enrol(c)
	s := w.open(cert, c.ID)
	s.acked(c.Head(), c.Lines...)
	s.end()
	c.Exchanges(300)
	whole := batch(c.Lines[1:]...)
	size := len(whole.GetBatch().GetLines())
	for _, at := range []int{1, 100, size / 2, size - 100} {
		var conn *cutConn
		s := w.openWith(cert, c.ID, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			conn = &cutConn{Conn: raw}
			return conn, err
		}))
		conn.left.Store(int64(at))
		conn.armed.Store(true)
		_ = s.Send(whole) // Recv says why
		if response, err := s.Recv(); err == nil {
			t.Fatalf("got %v for a batch that was cut after %d bytes", response, at)
		}
		w.waitForEnd()
		if known, err := w.store.Chain(t.Context(), "acme", c.ID); err != nil || known.Head.Seq != 1 {
			t.Fatalf("after %d bytes of a batch the chain ends at seq %d, %v", at, known.Head.Seq, err)
		}
	}

	// One that was sent whole, and whose sender does not wait, is stored whole or not
	// at all; the sender finds out which.
	s = w.open(cert, c.ID)
	s.send(whole)
	s.cancel()
	w.waitForEnd()
	s = w.open(cert, c.ID)
	if next := s.State.GetNextSeq(); next != 2 && next != int64(len(c.Lines))+1 {
		t.Errorf("the chain goes on at seq %d", next)
	}
	s.acked(c.Head(), c.Lines[1:]...)
	verifyStored(t, w.store, c)
	w.wantAlarms()
}

// waitForEnd waits until no stream is open.
func (w *world) waitForEnd() {
	w.t.Helper()
	waitFor(w.t, "the end of all streams", func() bool {
		text := w.scrape()
		return strings.Contains(text, "\nsignet_ingest_streams_open 0\n")
	})
}

// cutConn breaks, once it is armed, when so many bytes were written.
type cutConn struct {
	net.Conn
	armed atomic.Bool
	left  atomic.Int64
}

// Write implements net.Conn.
func (c *cutConn) Write(b []byte) (int, error) {
	if !c.armed.Load() {
		return c.Conn.Write(b)
	}
	left := c.left.Add(-int64(len(b)))
	if left >= 0 {
		return c.Conn.Write(b)
	}
	n, err := c.Conn.Write(b[:max(0, int64(len(b))+left)])
	return n, errors.Join(io.ErrClosedPipe, err, c.Close())
}

var streamsOpen = flag.Int("collector.streams", 40, "how many chains TestManyStreams has, each with a stream that is open")

// Many sidecars are connected at once, each with its own connection and stream,
// and all are served.
func TestManyStreams(t *testing.T) {
	w := start(t, open(t, "sqlite:"+filepath.Join(t.TempDir(), "collector.db")))
	all, streams := make([]*chains.Chain, *streamsOpen), make([]*stream, *streamsOpen)
	for i := range all {
		all[i] = chains.New("acme", "billing-agent", time.Now())
		streams[i] = w.open(w.enrol(all[i]), all[i].ID)
	}
	for round := range 3 {
		for i, s := range streams {
			if round > 0 {
				all[i].Exchanges(5)
			}
			s.send(batch(all[i].Lines[max(0, 5*round-4):]...))
		}
		for i, s := range streams {
			response := s.receive()
			if response.GetAck() == nil {
				t.Fatalf("got %v, want an ack", response)
			}
			w.wantAck(response.GetAck().GetDocument(), all[i].Head())
		}
	}
	for i, s := range streams {
		s.end()
		verifyStored(t, w.store, all[i])
	}
	w.wantMetrics("signet_ingest_streams_open 0")
}
