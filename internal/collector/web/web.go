// Package web is the collector's pages: what a tenant's agents did, what was
// denied and why, the evidence for it, and what needs to be looked at.
//
// Pages are rendered here, with plots as SVG. There is no script and nothing from
// elsewhere, and the Content-Security-Policy holds browsers to that.
package web

import (
	"context"
	"embed"
	"log/slog"
	"net/http"
	"time"

	"github.com/signet-egress/signet/internal/collector/access"
	"github.com/signet-egress/signet/internal/collector/audit"
	"github.com/signet-egress/signet/internal/collector/cursor"
	"github.com/signet-egress/signet/internal/collector/download"
	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
)

//go:embed static
var static embed.FS

// Reader is what the pages ask of the store.
type Reader interface {
	store.Records
	store.Usage
	Stored(ctx context.Context, tenant string) (store.Stored, error)
	Chain(ctx context.Context, tenant, id string) (store.Chain, error)
	ListChains(ctx context.Context, tenant string, q store.ChainQuery) ([]store.Chain, error)
	ChainKeys(ctx context.Context, tenant, id string) ([]store.Key, error)
	ListAlarms(ctx context.Context, tenant string, q store.AlarmQuery) ([]store.Alarm, error)
	OpenAlarms(ctx context.Context, tenant string, chains []string) ([]store.Alarm, error)
	Forks(ctx context.Context, tenant, chain string) ([]store.Fork, error)
}

// Config is what a Web is made of. All of it is required.
type Config struct {
	Store    Reader
	Prover   merkle.Prover
	Exporter *audit.Exporter
	Gate     *access.Gate
	LogKey   func(tenant string) (string, error) // verifier key of its checkpoints (C2SP signed-note)
	Seal     []byte                              // secret that sessions are sealed with, the same for all replicas
	Now      func() time.Time
	Logger   *slog.Logger
}

// Web serves the pages. It is an http.Handler.
type Web struct {
	Config
	cursors  cursor.Sealer
	sessions *sessions
	pages    *pages
	handler  http.Handler
}

// New returns a Web.
func New(c Config) (*Web, error) {
	w := &Web{Config: c, cursors: cursor.NewSealer(c.Seal)}
	var err error
	if w.sessions, err = newSessions(c.Seal); err != nil {
		return nil, err
	}
	if w.pages, err = parsePages(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	// Each by its name: a file server lists directories, and fails on names that are
	// no UTF-8.
	for _, name := range []string{"style.css", "mark.svg"} {
		mux.HandleFunc("GET /static/"+name, func(rw http.ResponseWriter, r *http.Request) {
			http.ServeFileFS(rw, r, static, "static/"+name)
		})
	}
	mux.HandleFunc("GET /login", w.loginPage)
	mux.HandleFunc("POST /login", w.login)
	mux.HandleFunc("POST /logout", w.logout)
	mux.Handle("GET /{$}", w.page(store.ScopeReceiptsRead, w.overview))
	mux.Handle("GET /receipts", w.page(store.ScopeReceiptsRead, w.receipts))
	mux.Handle("GET /receipts/{id}", w.page(store.ScopeReceiptsRead, w.receipt))
	mux.Handle("GET /traces/{id}", w.page(store.ScopeReceiptsRead, w.trace))
	mux.Handle("GET /chains", w.page(store.ScopeReceiptsRead, w.chains))
	mux.Handle("GET /chains/{id}", w.page(store.ScopeReceiptsRead, w.chain))
	mux.Handle("GET /usage", w.page(store.ScopeReceiptsRead, w.usage))
	mux.Handle("GET /export", w.page(store.ScopeExport, w.exportPage))
	mux.Handle("POST /export", w.page(store.ScopeExport, w.export))
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		w.fail(rw, r, nil, &failure{http.StatusNotFound, "There is no such page."})
	})
	// Browsers say where a request comes from: one that changes something and comes
	// from another site is refused.
	w.handler = secured(http.NewCrossOriginProtection().Handler(mux))
	return w, nil
}

// ServeHTTP implements http.Handler.
func (w *Web) ServeHTTP(rw http.ResponseWriter, r *http.Request) { w.handler.ServeHTTP(rw, r) }

func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(rw, r)
	})
}

// visit is a request whose sender has logged in.
type visit struct {
	*http.Request
	tenant string
	token  store.Token
}

// page lets those in who are logged in and may.
func (w *Web) page(scope store.Scope, serve func(http.ResponseWriter, *visit) error) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		v, err := w.admit(r, scope)
		if access.Refused(err) {
			w.sessions.end(rw, r)
			http.Redirect(rw, r, "/login", http.StatusSeeOther)
			return
		}
		if err == nil {
			err = serve(rw, v)
		}
		if err != nil {
			w.fail(rw, r, v, err)
		}
	})
}

func (w *Web) admit(r *http.Request, scope store.Scope) (*visit, error) {
	digest, ok := w.sessions.of(r, w.Now())
	if !ok {
		return nil, access.ErrMissing
	}
	// The token is looked up each time: one that is revoked ends its sessions.
	token, err := w.Gate.ByDigest(r.Context(), digest)
	if err != nil {
		return nil, err
	}
	v := &visit{Request: r, tenant: token.Tenant, token: token}
	if wait, ok := w.Gate.Allow(r.Context(), token.ID); !ok {
		return v, &failure{http.StatusTooManyRequests, "This token asks too often; try again in " + wait.Round(time.Second).String() + "."}
	}
	if !token.May(scope) {
		return v, &failure{http.StatusForbidden, "This token lacks the scope " + string(scope) + "."}
	}
	return v, nil
}

// fail shows what went wrong; a page that has begun is cut.
func (w *Web) fail(rw http.ResponseWriter, r *http.Request, v *visit, err error) {
	f := failureOf(err)
	if f.Status == http.StatusInternalServerError {
		w.Logger.Error("page failed", "path", r.URL.Path, "error", err.Error())
	}
	if download.Begun(rw) {
		panic(http.ErrAbortHandler)
	}
	if err := w.pages.render(rw, f.Status, "problem", w.frame(v, http.StatusText(f.Status), f)); err != nil {
		w.Logger.Error("page failed", "path", r.URL.Path, "error", err.Error())
	}
}

// loginPage asks for a token.
func (w *Web) loginPage(rw http.ResponseWriter, r *http.Request) {
	if err := w.pages.render(rw, http.StatusOK, "login", w.frame(nil, "Log in", "")); err != nil {
		w.fail(rw, r, nil, err)
	}
}

const maxLogin = 4 << 10

func (w *Web) login(rw http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(rw, r.Body, maxLogin)
	token, err := w.Gate.Authenticate(r.Context(), r.PostFormValue("token"))
	switch {
	case access.Refused(err):
		if wait, ok := w.Gate.Refuse(r.Context(), r.RemoteAddr); !ok {
			err = &failure{http.StatusTooManyRequests, "Too many logins have failed; try again in " + max(wait, time.Second).Round(time.Second).String() + "."}
			break
		}
		w.Logger.Warn("login refused", "remote", r.RemoteAddr, "error", err.Error())
		err = w.pages.render(rw, http.StatusUnauthorized, "login", w.frame(nil, "Log in", "This token is not known, or has ended."))
	case err == nil:
		err = w.sessions.begin(rw, r, token.Digest, w.Now())
		if err == nil {
			http.Redirect(rw, r, "/", http.StatusSeeOther)
		}
	}
	if err != nil {
		w.fail(rw, r, nil, err)
	}
}

func (w *Web) logout(rw http.ResponseWriter, r *http.Request) {
	w.sessions.end(rw, r)
	http.Redirect(rw, r, "/login", http.StatusSeeOther)
}
