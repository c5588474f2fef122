package web_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/access"
	"github.com/signet-egress/signet/internal/collector/audit"
	"github.com/signet-egress/signet/internal/collector/budget"
	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/storetest"
	"github.com/signet-egress/signet/internal/collector/web"
	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/stores"
	"github.com/signet-egress/signet/internal/testkit/witnesses"
)

// began is when the traffic of the tests begins.
var began = time.Date(2026, 11, 23, 3, 4, 5, 0, time.UTC)

// asked is the name of the witness that the collector asks.
const asked = "witness.example/asked"

// site is the pages over a real store, with two tenants.
type site struct {
	t         *testing.T
	store     store.Store
	web       *web.Web
	server    *httptest.Server
	sequencer *merkle.Sequencer
	now       time.Time
}

// cluster is PostgreSQL for all tests of the binary.
var cluster stores.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// onEach runs a test on a site with each kind of store.
func onEach(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	cluster.OnEach(t, func(t *testing.T, kept store.Store) { test(t, newSite(t, kept)) })
}

func newSite(t *testing.T, kept store.Store) *site {
	t.Helper()
	s := &site{t: t, store: kept, now: began.Add(4 * time.Hour)}
	s.serve(func() time.Time { return s.now })
	for _, name := range []string{"acme", "other"} {
		if err := kept.CreateTenant(t.Context(), store.Tenant{Name: name, Created: began}); err != nil {
			t.Fatal(err)
		}
		s.token(name, name+"-token", store.Scopes()...)
	}
	return s
}

// replica is another collector with the same store and clock.
func (s *site) replica() *site {
	s.t.Helper()
	r := &site{t: s.t, store: s.store}
	r.serve(func() time.Time { return s.now })
	return r
}

func (s *site) serve(now func() time.Time) {
	t, kept := s.t, s.store
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	signer := merkle.NewSigner("collector.example", key)
	s.sequencer = merkle.NewSequencer(kept, signer, metrics.NewCollector("v0.0.0-test"), slog.New(slog.DiscardHandler))
	var err error
	s.web, err = web.New(web.Config{
		Store: kept, Prover: merkle.Prover{Store: kept}, Exporter: &audit.Exporter{Store: kept, Sequencer: s.sequencer, Prover: merkle.Prover{Store: kept}, Key: key, Build: "v0.0.0-test", Now: now},
		Gate: access.NewGate(kept, now, budget.NewLocal(budget.Limit{PerSecond: 1000, Burst: 1000}, now), budget.NewLocal(budget.Limit{PerSecond: 1, Burst: 30}, now)), LogKey: signer.VerifierKey, Witnesses: []string{witnesses.NewCosigner(asked).VerifierKey()}, Seal: []byte("secret"), Now: now,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewServer(s.web)
	t.Cleanup(s.server.Close)
}

func digest(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

func (s *site) token(tenant, secret string, scopes ...store.Scope) {
	s.t.Helper()
	err := s.store.AddToken(s.t.Context(), store.Token{
		ID: chains.UUID(), Tenant: tenant, Digest: digest(secret), Scopes: scopes, Created: began,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// traffic is some hours of a chain, which then falls silent.
func (s *site) traffic(tenant string) *chains.Chain {
	s.t.Helper()
	ctx := s.t.Context()
	c := chains.New(tenant, "billing-agent", began)
	c.Step = 7 * time.Minute
	for i := range 30 {
		c.Add(c.Receipt("api.example", fmt.Sprintf("invoice-%d", i/3)))
		if i%4 == 1 {
			denial := c.Denial("paste.example", fmt.Sprintf("invoice-%d", i/3), "HEL_HOST_NOT_ALLOWED")
			denial.Count = int64(i)
			c.Add(denial)
		}
	}
	s.keep(c)
	if _, err := s.sequencer.Take(ctx, tenant); err != nil {
		s.t.Fatal(err)
	}
	_, err := s.store.Raise(ctx, tenant, store.Alarm{
		ID: chains.UUID(), Kind: store.AlarmSilent, Chain: c.ID, Message: "not heard of for 10 minutes, and it did not stop", Raised: s.now, Last: s.now,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// cosign has a witness cosign what a tenant's log has now.
func (s *site) cosign(tenant, witness string, at time.Time) {
	s.t.Helper()
	state, err := s.store.LogState(s.t.Context(), tenant)
	if err != nil {
		s.t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(state.Checkpoint), "\n\n")
	by := witnesses.NewCosigner(witness)
	line := strings.TrimSuffix(by.Line(text+"\n", at), "\n")
	if err := s.store.AddCosignature(s.t.Context(), tenant, store.Cosignature{Size: state.Size, Witness: by.VerifierKey(), Checkpoint: state.Checkpoint, Line: line, At: at}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) keep(c *chains.Chain) {
	s.t.Helper()
	storetest.Keep(s.t, s.store, c, s.now)
}
