// Package web is the collector's pages: what a tenant's agents did, what was
// denied and why, the evidence for it, and what needs to be looked at.
//
// Pages are rendered here, with plots as SVG. There is no script and nothing from
// elsewhere, and the Content-Security-Policy holds browsers to that.
package web

import (
	"context"
	"embed"
	"errors"
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
	store.Sessions
	Stored(ctx context.Context, tenant string) (store.Stored, error)
	Retention(ctx context.Context, tenant string) (store.Retention, error)
	Chain(ctx context.Context, tenant, id string) (store.Chain, error)
	ListChains(ctx context.Context, tenant string, q store.ChainQuery) ([]store.Chain, error)
	ChainKeys(ctx context.Context, tenant, id string) ([]store.Key, error)
	ListAlarms(ctx context.Context, tenant string, q store.AlarmQuery) ([]store.Alarm, error)
	OpenAlarms(ctx context.Context, tenant string, chains []string) ([]store.Alarm, error)
	Forks(ctx context.Context, tenant, chain string) ([]store.Fork, error)
}

// Config is what a Web is made of. All of it is required but Witnesses.
type Config struct {
	Store     Reader
	Prover    merkle.Prover
	Exporter  *audit.Exporter
	Gate      *access.Gate
	LogKey    func(tenant string) (string, error) // verifier key of its checkpoints (C2SP signed-note)
	Witnesses []string                            // verifier keys of those that are asked to cosign them
	Seal      []byte                              // secret that cursors are sealed with, the same for all replicas
	Now       func() time.Time
	Logger    *slog.Logger
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
	parsed, err := parsePages()
	if err != nil {
		return nil, err
	}
	w := &Web{Config: c, cursors: cursor.NewSealer(c.Seal), sessions: &sessions{c.Store, c.Now}, pages: parsed}
	// Browsers say where a request comes from: one that changes something and comes
	// from another site is refused.
	w.handler = secured(http.NewCrossOriginProtection().Handler(w.routes()))
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
			drop(rw, r)
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
	// It is looked up each time: a token that is revoked ends its sessions.
	token, err := w.sessions.token(r)
	if err != nil {
		return nil, err
	}
	v := &visit{Request: r, tenant: token.Tenant, token: token}
	if err := w.allow(r, token.ID); err != nil {
		return v, err
	}
	if !token.May(scope) {
		return v, &failure{http.StatusForbidden, "This token lacks the scope " + string(scope) + "."}
	}
	return v, nil
}

// allow takes a request from the budget of a token.
func (w *Web) allow(r *http.Request, tokenID string) error {
	if wait, ok := w.Gate.Allow(r.Context(), tokenID); !ok {
		return &failure{http.StatusTooManyRequests, "This token asks too often; try again in " + wait.Round(time.Second).String() + "."}
	}
	return nil
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
		if err = w.allow(r, token.ID); err == nil {
			err = w.sessions.begin(rw, r, token)
		}
		if err == nil {
			http.Redirect(rw, r, "/", http.StatusSeeOther)
		}
	}
	if err != nil {
		w.fail(rw, r, nil, err)
	}
}

// logout ends the session, or with everywhere=1 all of its token's, for every
// replica and for whoever has copied a cookie. Where it is not known any more which
// those are, nobody is left to believe that they have ended.
func (w *Web) logout(rw http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(rw, r.Body, maxLogin)
	err := w.sessions.end(rw, r, r.PostFormValue("everywhere") != "")
	switch {
	case errors.Is(err, access.ErrMissing):
		drop(rw, r)
		err = w.pages.render(rw, http.StatusUnauthorized, "login", w.frame(nil, "Log in",
			"This session has ended before, and others of its token may not have. Log in once more to log out everywhere."))
	case err == nil:
		http.Redirect(rw, r, "/login", http.StatusSeeOther)
	}
	if err != nil {
		w.fail(rw, r, nil, err)
	}
}
