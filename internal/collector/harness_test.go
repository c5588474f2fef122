package collector_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector"
	"github.com/signet-egress/signet/internal/collector/ingest"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/collector/redis"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/witness"
	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
)

// world is a collector that serves, and what a sidecar needs to speak to it.
type world struct {
	t         *testing.T
	store     store.Store
	authority *pki.Authority
	key       ed25519.PrivateKey
	collector *collector.Collector
	stop      func() // stops it, and waits for that; the end of the test does so too
	log       *testkit.Log
	rate      int             // of each tenant; 0: the default
	redis     *redis.Settings // nil: there is none
	limits    ingest.Limits   // zero members are the defaults
	witnesses []*witness.Client
	// certificate is of API and pages; nil: they are spoken to without TLS.
	certificate *pki.FileCertificate
}

// start runs a collector on a store until the test ends.
func start(t *testing.T, kept store.Store) *world {
	t.Helper()
	dir := t.TempDir()
	authority, err := pki.LoadAuthority(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := collector.LoadKey(filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: kept, authority: authority, key: key, log: new(testkit.Log)}
	w.serve()
	return w
}

// serve starts a replica.
func (w *world) serve() {
	w.t.Helper()
	c, err := collector.New(w.t.Context(), collector.Options{
		Listen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", HTTPCertificate: w.certificate, MetricsListen: "127.0.0.1:0", Names: []string{"127.0.0.1"},
		Store: w.store, Authority: w.authority, Key: w.key, TenantRate: w.rate, Limits: w.limits, Redis: w.redis, LogName: "collector.example", Build: "v0.0.0-test",
		Witnesses: w.witnesses, WitnessInterval: 20 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(io.MultiWriter(w.log, w.t.Output()), nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	done := make(chan error, 1)
	go func() { done <- c.Serve(ctx) }()
	w.stop = sync.OnceFunc(func() {
		stop()
		if err := <-done; err != nil {
			w.t.Errorf("serve: %v", err)
		}
	})
	w.t.Cleanup(w.stop)
	w.collector = c
}

// enrol registers a chain and returns its client certificate.
func (w *world) enrol(c *chains.Chain) tls.Certificate {
	w.t.Helper()
	return w.enrolUntil(c, time.Now().Add(time.Hour))
}

// enrolUntil is enrol with a certificate that the collector takes until a time.
func (w *world) enrolUntil(c *chains.Chain, notAfter time.Time) tls.Certificate {
	w.t.Helper()
	ctx := w.t.Context()
	if _, err := w.store.Tenant(ctx, c.Tenant); err != nil {
		if err := w.store.CreateTenant(ctx, store.Tenant{Name: c.Tenant, Created: time.Now()}); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.store.RegisterChain(ctx, c.Tenant, store.Registration{ID: c.ID, Agent: c.Agent, PublicKey: c.Public(), At: time.Now()}); err != nil {
		w.t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	cert, err := w.authority.Client(pki.Identity{Tenant: c.Tenant, Chain: c.ID}, key.Public(), time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.AddCertificate(ctx, store.Certificate{
		Serial: cert.SerialNumber.Text(16), Tenant: c.Tenant, Chain: c.ID, Issued: time.Now(), NotAfter: notAfter,
	}); err != nil {
		w.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// stream is a sidecar's end of a stream.
type stream struct {
	api.Ingest_ShipClient
	world  *world
	cancel func() // leaves it
	State  *api.State
}

// open connects with a client certificate and says Hello for a chain.
func (w *world) open(cert tls.Certificate, chain string) *stream {
	w.t.Helper()
	return w.openWith(cert, chain)
}

func (w *world) openWith(cert tls.Certificate, chain string, more ...grpc.DialOption) *stream {
	w.t.Helper()
	s := w.dial(cert, more...)
	s.send(hello(chain))
	s.State = s.receive().GetState()
	if s.State == nil {
		w.t.Fatal("no State after Hello")
	}
	return s
}

func (w *world) dial(cert tls.Certificate, more ...grpc.DialOption) *stream {
	w.t.Helper()
	s, err := w.connect(cert, more...)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) connect(cert tls.Certificate, more ...grpc.DialOption) (*stream, error) {
	connection, err := grpc.NewClient(w.collector.Addr().String(), append(more, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: w.authority.Pool(), Certificates: []tls.Certificate{cert},
	})))...)
	if err != nil {
		return nil, err
	}
	w.t.Cleanup(func() { _ = connection.Close() })
	ctx, cancel := context.WithCancel(w.t.Context())
	w.t.Cleanup(cancel)
	ship, err := api.NewIngestClient(connection).Ship(ctx)
	return &stream{Ingest_ShipClient: ship, world: w, cancel: cancel}, err
}

func (s *stream) send(request *api.ShipRequest) {
	s.world.t.Helper()
	if err := s.Send(request); err != nil {
		s.world.t.Fatal(err)
	}
}

func (s *stream) receive() *api.ShipResponse {
	s.world.t.Helper()
	response, err := s.Recv()
	if err != nil {
		s.world.t.Fatal(err)
	}
	return response
}

// end closes the stream and waits until the collector has done with it.
func (s *stream) end() {
	s.world.t.Helper()
	if err := s.CloseSend(); err != nil {
		s.world.t.Fatal(err)
	}
	if response, err := s.Recv(); !errors.Is(err, io.EOF) {
		s.world.t.Fatalf("got %v, %v at the end of a stream", response, err)
	}
}

// ship sends lines as one batch and returns the answer.
func (s *stream) ship(lines ...[]byte) *api.ShipResponse {
	s.world.t.Helper()
	s.send(batch(lines...))
	return s.receive()
}

// acked sends lines as one batch and wants an ack up to a record.
func (s *stream) acked(head receipts.Head, lines ...[]byte) {
	s.world.t.Helper()
	response := s.ship(lines...)
	if response.GetAck() == nil {
		s.world.t.Fatalf("got %v, want an ack", response)
	}
	s.world.wantAck(response.GetAck().GetDocument(), head)
}

func (w *world) wantAck(document []byte, head receipts.Head) {
	w.t.Helper()
	pub, _ := w.key.Public().(ed25519.PublicKey)
	keys, err := receipts.ParseJWKS(receipts.JWKS(receipts.ChainKey{PublicKey: pub}))
	if err != nil {
		w.t.Fatal(err)
	}
	ack, err := receipts.ParseAck(document, keys)
	if err != nil {
		w.t.Fatal(err)
	}
	if ack.Chain != head.Chain.ID || ack.Seq != head.Chain.Seq || ack.ReceiptHash != head.ReceiptHash {
		w.t.Fatalf("the ack is for seq %d (%s), want %d (%s)", ack.Seq, ack.ReceiptHash, head.Chain.Seq, head.ReceiptHash)
	}
}

// refused sends lines as one batch and wants a refusal.
func (s *stream) refused(code api.Refusal_Code, lines ...[]byte) *api.Refusal {
	s.world.t.Helper()
	response := s.ship(lines...)
	if refusal := response.GetRefusal(); refusal.GetCode() != code {
		s.world.t.Fatalf("got %v, want the refusal %s", response, code)
	}
	return response.GetRefusal()
}

func hello(chain string) *api.ShipRequest {
	return &api.ShipRequest{Message: &api.ShipRequest_Hello{Hello: &api.Hello{ChainId: chain}}}
}

func heartbeat(document []byte) *api.ShipRequest {
	return &api.ShipRequest{Message: &api.ShipRequest_Heartbeat{Heartbeat: document}}
}

func batch(lines ...[]byte) *api.ShipRequest {
	return &api.ShipRequest{Message: &api.ShipRequest_Batch{Batch: &api.Batch{Lines: compress(text(lines)), Records: int64(len(lines))}}}
}

func text(lines [][]byte) []byte { return append(bytes.Join(lines, []byte("\n")), '\n') }

func compress(plain []byte) []byte {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithSingleSegment(true))
	if err != nil {
		panic(err) // it fails on wrong options only
	}
	return encoder.EncodeAll(plain, nil)
}

// scrape is what Prometheus is told.
func (w *world) scrape() string {
	w.t.Helper()
	_, text := w.fetch(w.collector.MetricsAddr(), http.MethodGet, "/metrics", "", "")
	return text
}

// ask is the API's answer to a request with a token; "": with none.
func (w *world) ask(method, path, token, body string) (status int, answer string) {
	w.t.Helper()
	return w.fetch(w.collector.HTTPAddr(), method, path, token, body)
}

func (w *world) fetch(addr net.Addr, method, path, token, body string) (status int, answer string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+addr.String()+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
