// Package httpapi is the collector's HTTP API: receipts, chains, traces, usage,
// alarms, the log and audit bundles of the tenant whose token asks. openapi.yaml
// describes it, and is held against the handlers by a test.
package httpapi

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/http"
	"time"

	"github.com/signet-egress/signet/internal/collector/access"
	"github.com/signet-egress/signet/internal/collector/audit"
	"github.com/signet-egress/signet/internal/collector/cursor"
	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
)

// Reader is what the API asks of the store.
type Reader interface {
	store.Records
	store.Usage
	Stored(ctx context.Context, tenant string) (store.Stored, error)
	Retention(ctx context.Context, tenant string) (store.Retention, error)
	Removals(ctx context.Context, tenant string) ([]store.Removal, error)
	Chain(ctx context.Context, tenant, id string) (store.Chain, error)
	ListChains(ctx context.Context, tenant string, q store.ChainQuery) ([]store.Chain, error)
	ChainKeys(ctx context.Context, tenant, id string) ([]store.Key, error)
	ListAlarms(ctx context.Context, tenant string, q store.AlarmQuery) ([]store.Alarm, error)
	Forks(ctx context.Context, tenant, chain string) ([]store.Fork, error)
	Tile(ctx context.Context, tenant string, level int, n int64) ([]byte, error)
	LeafIndex(ctx context.Context, tenant, chain string, seq int64) (int64, error)
	LogEntries(ctx context.Context, tenant string, from int64, limit int) ([]store.Leaf, error)
}

// Config is what an API is made of. All of it is required but Witnesses.
type Config struct {
	Store     Reader
	Prover    merkle.Prover
	Exporter  *audit.Exporter
	Gate      *access.Gate
	Key       ed25519.PublicKey                   // that acks, checkpoints and bundles are signed with
	LogKey    func(tenant string) (string, error) // verifier key of its checkpoints (C2SP signed-note)
	Witnesses []string                            // verifier keys of those that are asked to cosign them
	Seal      []byte                              // secret that cursors are sealed with, the same for all replicas
	Now       func() time.Time
	Logger    *slog.Logger
	Observer  Observer
}

// Observer counts requests.
type Observer interface {
	// Answered tells the end of a request by its endpoint, a closed set.
	Answered(endpoint string, status int, took time.Duration)
}

// API serves the tenant's view of the collector. It is an http.Handler.
type API struct {
	Config
	cursors cursor.Sealer
	mux     *http.ServeMux
}

// New returns an API.
func New(c Config) *API {
	a := &API{Config: c, cursors: cursor.NewSealer(c.Seal), mux: http.NewServeMux()}
	for _, e := range endpoints {
		a.mux.Handle(e.method+" "+e.path, a.serve(e))
		a.mux.Handle(e.path, a.onlyBy(e.method))
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, r, &Problem{Status: http.StatusNotFound, Detail: "there is no such endpoint; /v1/openapi.yaml lists them"})
	})
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// endpoint is one operation. Its scope is "" where no token is asked for.
type endpoint struct {
	method, path string
	scope        store.Scope
	handle       func(a *API, w http.ResponseWriter, r *request) error
}

// endpoints are all that there are; openapi.yaml has the same.
var endpoints = []endpoint{
	{http.MethodGet, "/v1/receipts", store.ScopeReceiptsRead, (*API).listReceipts},
	{http.MethodGet, "/v1/receipts/{id}", store.ScopeReceiptsRead, (*API).receipt},
	{http.MethodGet, "/v1/traces/{id}", store.ScopeReceiptsRead, (*API).trace},
	{http.MethodGet, "/v1/chains", store.ScopeReceiptsRead, (*API).listChains},
	{http.MethodGet, "/v1/chains/{id}", store.ScopeReceiptsRead, (*API).chain},
	{http.MethodGet, "/v1/chains/{id}/records", store.ScopeReceiptsRead, (*API).records},
	{http.MethodGet, "/v1/chains/{id}/forks", store.ScopeReceiptsRead, (*API).forks},
	{http.MethodGet, "/v1/alarms", store.ScopeReceiptsRead, (*API).listAlarms},
	{http.MethodGet, "/v1/usage", store.ScopeReceiptsRead, (*API).usage},
	{http.MethodGet, "/v1/removals", store.ScopeReceiptsRead, (*API).removals},
	{http.MethodPost, "/v1/exports", store.ScopeExport, (*API).export},
	{http.MethodGet, "/v1/log/key", store.ScopeReceiptsRead, (*API).logKey},
	{http.MethodGet, "/v1/log/checkpoint", store.ScopeReceiptsRead, (*API).checkpoint},
	{http.MethodGet, "/v1/log/witnesses", store.ScopeReceiptsRead, (*API).witnesses},
	{http.MethodGet, "/v1/log/tile/{rest...}", store.ScopeReceiptsRead, (*API).tile},
	{http.MethodGet, "/v1/log/entries", store.ScopeReceiptsRead, (*API).logEntries},
	{http.MethodGet, "/v1/log/inclusion", store.ScopeReceiptsRead, (*API).inclusion},
	{http.MethodGet, "/v1/log/consistency", store.ScopeReceiptsRead, (*API).consistency},
	{http.MethodGet, "/v1/openapi.yaml", "", (*API).openAPI},
	{http.MethodGet, "/.well-known/signet-jwks.json", "", (*API).jwks},
}

// onlyBy refuses what comes to an endpoint by another method than its own.
func (a *API) onlyBy(method string) http.Handler {
	allow := method
	if method == http.MethodGet {
		allow += ", " + http.MethodHead
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		a.refuse(w, r, &Problem{Status: http.StatusMethodNotAllowed, Detail: "this endpoint takes " + allow})
	})
}

// request is a request whose sender is known.
type request struct {
	*http.Request
	tenant string
	token  store.Token
}

func (a *API) serve(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := a.Now()
		rec := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		rec.Header().Set("X-Content-Type-Options", "nosniff")
		rec.Header().Set("Cache-Control", "no-store")
		defer func() { a.Observer.Answered(e.path, rec.status, a.Now().Sub(began)) }() // one that is cut too
		if err := a.answer(e, rec, r); err != nil {
			a.refuse(rec, r, err)
		}
	})
}

func (a *API) answer(e endpoint, w http.ResponseWriter, r *http.Request) error {
	req := &request{Request: r}
	if e.scope != "" {
		if err := a.admit(e.scope, w, req); err != nil {
			return err
		}
	}
	return e.handle(a, w, req)
}

// statusRecorder remembers what was answered.
type statusRecorder struct {
	http.ResponseWriter
	status int
	begun  bool
}

// WriteHeader implements http.ResponseWriter.
func (w *statusRecorder) WriteHeader(status int) {
	if !w.begun {
		w.status, w.begun = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusRecorder) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
