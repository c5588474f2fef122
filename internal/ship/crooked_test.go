package ship_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"log/slog"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/ship"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

// crooked is a collector that lets everybody in, and then does as it likes.
type crooked struct {
	api.UnimplementedIngestServer
	api.UnimplementedEnrolmentServer
	site *site
	ship func(stream api.Ingest_ShipServer, hello *api.Hello) error
}

func (c *crooked) Enroll(_ context.Context, r *api.EnrollRequest) (*api.Credential, error) {
	return &api.Credential{
		Certificates: [][]byte{{}}, Tenant: tenant, AckKeys: receipts.JWKS(receipts.ChainKey{PublicKey: c.site.key.Public().(ed25519.PublicKey)}),
		ExpiresInMs: time.Hour.Milliseconds(), RenewInMs: time.Hour.Milliseconds(),
	}, nil
}

func (c *crooked) Ship(stream api.Ingest_ShipServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	return c.ship(stream, first.GetHello())
}

// upCrooked has the site's place taken by a crooked collector.
func (s *site) upCrooked(then func(stream api.Ingest_ShipServer, hello *api.Hello) error) {
	s.t.Helper()
	cert := pki.NewServerCertificate(s.authority, []string{"127.0.0.1"})
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: cert.Get})))
	c := &crooked{site: s, ship: then}
	api.RegisterIngestServer(server, c)
	api.RegisterEnrolmentServer(server, c)
	l, err := new(net.ListenConfig).Listen(s.t.Context(), "tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	s.t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

// Whatever a collector does that is none, or has gone mad, a shipper comes back
// from it, and counts and says what it was.
func TestCrookedCollectors(t *testing.T) {
	state := func(stream api.Ingest_ShipServer) error {
		return stream.Send(&api.ShipResponse{Message: &api.ShipResponse_State{State: &api.State{NextSeq: 1, MaxBatchRecords: 10_000, MaxBatchBytes: 1 << 20}}})
	}
	for name, test := range map[string]struct {
		ship   func(s *site) func(stream api.Ingest_ShipServer, hello *api.Hello) error
		reason string
	}{
		"says nothing": {func(*site) func(api.Ingest_ShipServer, *api.Hello) error {
			return func(stream api.Ingest_ShipServer, _ *api.Hello) error {
				<-stream.Context().Done()
				return nil
			}
		}, "other"},
		"refuses and reads nothing more": {func(*site) func(api.Ingest_ShipServer, *api.Hello) error {
			return func(stream api.Ingest_ShipServer, _ *api.Hello) error {
				if err := state(stream); err != nil {
					return err
				}
				if _, err := stream.Recv(); err != nil {
					return err
				}
				_ = stream.Send(&api.ShipResponse{Message: &api.ShipResponse_Refusal{Refusal: &api.Refusal{Code: api.Refusal_INVALID}}})
				<-stream.Context().Done()
				return nil
			}
		}, "refused"},
		"acknowledges what was not sent": {func(s *site) func(api.Ingest_ShipServer, *api.Hello) error {
			return func(stream api.Ingest_ShipServer, hello *api.Hello) error {
				if err := state(stream); err != nil {
					return err
				}
				ack := receipts.SealAck(s.key, &receipts.Ack{Chain: hello.GetChainId(), Tenant: tenant, Seq: 1, ReceiptHash: receipts.Hash(nil), TS: time.Now()})
				for range 10 {
					_ = stream.Send(&api.ShipResponse{Message: &api.ShipResponse_Ack{Ack: &api.Ack{Document: ack}}})
				}
				<-stream.Context().Done()
				return nil
			}
		}, "other"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.upCrooked(test.ship(s))
			dir := t.TempDir()
			j := openJournal(t, dir)
			defer func() { _ = j.Close(t.Context()) }()
			write(t, j, 3000) // more than finds room on the way
			w := newWatcher()
			o := s.options(dir, j)
			o.Chain, o.Observer = forgiving{j}, w
			shipper := ship.New(o)
			shipper.AnswerWithin(time.Second)
			stop := run(t, shipper)
			w.until(t, "its end", func() bool { return w.failed[test.reason] > 0 })
			stop()
		})
	}
}

// forgiving is a chain that does not hold acks against its records.
type forgiving struct{ *journal.Journal }

func (forgiving) SetAcked(context.Context, []byte) error { return nil }

// A chain that an operator had go on after a loss is shipped whole to a collector
// that has nothing of it.
func TestRecoveredChainsAreShippedAnew(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir)
	write(t, j, 3)
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ack := receipts.SealAck(signingKey, &receipts.Ack{Chain: j.Head().Chain, Tenant: tenant, Seq: j.Head().Seq + 20, ReceiptHash: receipts.Hash(nil), TS: time.Now()})
	if err := journal.SetAckedStopped(dir, ack); err != nil {
		t.Fatal(err)
	}
	_, lost, err := journal.Recover(t.Context(), journal.Options{
		Dir: dir, Key: signingKey, Tenant: tenant, Agent: "billing-agent", Build: "v0.0.0-test",
		PolicyVersion: receipts.Hash([]byte("[]")), Logger: slog.New(slog.DiscardHandler),
	}, nil)
	if err != nil || len(lost) != 1 {
		t.Fatalf("lost is %v, %v", lost, err)
	}
	j = openJournal(t, dir)
	defer func() { _ = j.Close(t.Context()) }()
	write(t, j, 3)
	s := newSite(t)
	s.up()
	s.shipAll(dir, j)
	if _, err := s.store.Record(t.Context(), tenant, j.Head().Chain, lost[0].First); err == nil {
		t.Error("a lost record is stored")
	}
	if kept, err := s.store.Range(t.Context(), tenant, j.Head().Chain, 1, 1000); err != nil || int64(len(kept)) != j.Head().Seq-(lost[0].Last-lost[0].First+1) {
		t.Errorf("%d records are stored, %v; the chain ends at seq %d without %v", len(kept), err, j.Head().Seq, lost)
	}
}
