package httpapi_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/access"
	"github.com/signet-egress/signet/internal/collector/audit"
	"github.com/signet-egress/signet/internal/collector/budget"
	"github.com/signet-egress/signet/internal/collector/httpapi"
	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/storetest"
	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/internal/testkit/stores"
	"github.com/signet-egress/signet/internal/testkit/witnesses"
)

// began is when the chains of the tests begin.
var began = time.Date(2026, 11, 23, 3, 4, 5, 0, time.UTC)

// world is an API over a real store with two tenants.
type world struct {
	t         *testing.T
	store     store.Store
	server    *httptest.Server
	now       time.Time
	log       bytes.Buffer
	sequencer *merkle.Sequencer
	seen      map[string]bool // answers, as "ENDPOINT STATUS"
}

const (
	acme  = "acme-token"  // all scopes
	other = "other-token" // all scopes, of another tenant
)

// asked is the name of the witness that the collector asks.
const asked = "witness.example/asked"

// cluster is PostgreSQL for all tests of the binary.
var cluster stores.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// onEach runs a test on a world with each kind of store.
func onEach(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	cluster.OnEach(t, func(t *testing.T, kept store.Store) { test(t, newWorld(t, kept)) })
}

func newWorld(t *testing.T, kept store.Store) *world {
	t.Helper()
	w := &world{t: t, store: kept, now: began.Add(time.Hour), seen: map[string]bool{}}
	w.tenant("acme", acme, store.Scopes()...)
	w.tenant("other", other, store.Scopes()...)
	w.serve(1000)
	return w
}

// serve starts the API; each token may ask that often in a second.
func (w *world) serve(perSecond int) {
	w.t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	pub, _ := key.Public().(ed25519.PublicKey)
	signer := merkle.NewSigner("collector.example", key)
	w.sequencer = merkle.NewSequencer(w.store, signer, metrics.NewCollector("v0.0.0-test"), slog.New(slog.DiscardHandler))
	now := func() time.Time { return w.now }
	exporter := &audit.Exporter{Store: w.store, Sequencer: w.sequencer, Prover: merkle.Prover{Store: w.store}, Key: key, Build: "v0.0.0-test", Now: now}
	api := httpapi.New(httpapi.Config{
		Store: w.store, Prover: merkle.Prover{Store: w.store}, Exporter: exporter, Gate: access.NewGate(w.store, now, budget.NewLocal(budget.Limit{PerSecond: perSecond, Burst: perSecond}, now), budget.NewLocal(budget.Limit{PerSecond: 1, Burst: 30}, now)),
		Key: pub, LogKey: signer.VerifierKey, Witnesses: []string{witnesses.NewCosigner(asked).VerifierKey()}, Seal: []byte("secret"), Now: now,
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Observer: w,
	})
	w.server = httptest.NewServer(api)
	w.t.Cleanup(w.server.Close)
}

// Answered implements httpapi.Observer.
func (w *world) Answered(endpoint string, status int, _ time.Duration) {
	w.seen[fmt.Sprintf("%s %d", endpoint, status)] = true
}

func (w *world) tenant(name, secret string, scopes ...store.Scope) {
	w.t.Helper()
	if _, err := w.store.Tenant(w.t.Context(), name); err != nil {
		if err := w.store.CreateTenant(w.t.Context(), store.Tenant{Name: name, Created: began}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.token(name, secret, time.Time{}, scopes...)
}

func (w *world) token(tenant, secret string, expires time.Time, scopes ...store.Scope) (id string) {
	w.t.Helper()
	id = chains.UUID()
	err := w.store.AddToken(w.t.Context(), store.Token{
		ID: id, Tenant: tenant, Digest: sha256.Sum256([]byte(secret)), Scopes: scopes, Created: began, Expires: expires,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// keep enrols a chain and stores all of it.
func (w *world) keep(c *chains.Chain) {
	w.t.Helper()
	storetest.Keep(w.t, w.store, c, w.now)
}

// newChain is one of acme's with a forwarded and a denied exchange for each host.
func newChain(hosts ...string) *chains.Chain {
	c := chains.New("acme", "billing", began)
	for _, host := range hosts {
		c.Add(c.Receipt(host, "trace-"+host))
		c.Add(c.Denial(host, "trace-"+host, "HEL_PATH_NOT_ALLOWED"))
	}
	return c
}

// chain is a newChain that is kept.
func (w *world) chain(hosts ...string) *chains.Chain {
	w.t.Helper()
	c := newChain(hosts...)
	w.keep(c)
	return c
}

func (w *world) do(method, path, token string, body io.Reader) (*http.Response, []byte) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := w.server.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, text
}

// get decodes a 200 of acme's into an answer.
func (w *world) get(path string, into any) {
	w.t.Helper()
	resp, body := w.do(http.MethodGet, path, acme, nil)
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("GET %s: %s %s", path, resp.Status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		w.t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

// wantProblem wants a request of a token's to be refused.
func (w *world) wantProblem(path, token string, status int) httpapi.Problem {
	w.t.Helper()
	resp, body := w.do(http.MethodGet, path, token, nil)
	var p httpapi.Problem
	if err := json.Unmarshal(body, &p); err != nil || resp.StatusCode != status || p.Status != status ||
		resp.Header.Get("Content-Type") != "application/problem+json" {
		w.t.Fatalf("GET %s: %s %s %s, want the problem %d", path, resp.Status, resp.Header.Get("Content-Type"), body, status)
	}
	return p
}
