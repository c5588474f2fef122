package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/signet-egress/signet/internal/collector/access"
	"github.com/signet-egress/signet/internal/collector/store"
)

// noteUse is how often the use of a session is written down: not with each page.
const noteUse = time.Minute

// sessions are kept in the store, where every replica sees that one has ended. A
// browser has the secret of its own, in a cookie, and the store no more than its
// SHA-256.
type sessions struct {
	store store.Sessions
	now   func() time.Time
}

// begin begins a session of a token, always a new one: a secret that somebody else
// had the browser keep before is worth nothing after a login.
func (s *sessions) begin(w http.ResponseWriter, r *http.Request, token store.Token) error {
	if err := s.forget(r); err != nil {
		return err
	}
	secret := make([]byte, sha256.Size)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	now := s.now()
	if err := s.store.BeginSession(r.Context(), store.Session{Digest: sha256.Sum256(secret), Token: token, Begun: now, Used: now}); err != nil {
		return fmt.Errorf("begin a session: %w", err)
	}
	http.SetCookie(w, cookie(r, base64.RawURLEncoding.EncodeToString(secret), int(store.SessionLife/time.Second)))
	return nil
}

// token is what a request's session was begun with: access.ErrMissing without a
// session, access.ErrEnded where it or the token is over.
func (s *sessions) token(r *http.Request) (store.Token, error) {
	digest, ok := digestOf(r)
	if !ok {
		return store.Token{}, access.ErrMissing
	}
	session, err := s.store.Session(r.Context(), digest)
	if errors.Is(err, store.ErrNotFound) {
		return store.Token{}, access.ErrMissing
	}
	if err != nil {
		return store.Token{}, fmt.Errorf("look a session up: %w", err)
	}
	now := s.now()
	if !session.Valid(now) {
		return store.Token{}, access.ErrEnded
	}
	if now.Sub(session.Used) < noteUse {
		return session.Token, nil
	}
	return session.Token, s.store.UseSession(r.Context(), digest, now)
}

// end ends a request's session, and with everywhere all others of its token too.
// The cookie goes once the store has let go of it.
func (s *sessions) end(w http.ResponseWriter, r *http.Request, everywhere bool) error {
	if everywhere {
		if err := s.endAll(r); err != nil {
			return err
		}
	}
	if err := s.forget(r); err != nil {
		return err
	}
	drop(w, r)
	return nil
}

// endAll ends all sessions of the token that a request's was begun with, be that over
// or not: access.ErrMissing where it is forgotten, and with it whose they are.
func (s *sessions) endAll(r *http.Request) error {
	digest, ok := digestOf(r)
	if !ok {
		return access.ErrMissing
	}
	session, err := s.store.Session(r.Context(), digest)
	if errors.Is(err, store.ErrNotFound) {
		return access.ErrMissing
	}
	if err == nil {
		err = s.store.EndSessions(context.WithoutCancel(r.Context()), session.Token.Tenant, session.Token.ID)
	}
	return err
}

// forget ends the session that a request has, if any.
func (s *sessions) forget(r *http.Request) error {
	digest, ok := digestOf(r)
	if !ok {
		return nil
	}
	if err := s.store.EndSession(context.WithoutCancel(r.Context()), digest); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// digestOf is the digest of the secret in a request's cookie.
func digestOf(r *http.Request) (digest [32]byte, ok bool) {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return digest, false
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(c.Value)
	if err != nil || len(secret) != sha256.Size {
		return digest, false
	}
	return sha256.Sum256(secret), true
}

// drop has the browser forget its cookie.
func drop(w http.ResponseWriter, r *http.Request) { http.SetCookie(w, cookie(r, "", -1)) }

func cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	c := &http.Cookie{Name: cookieName(r), Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode}
	c.Secure = !onLoopback(r)
	return c
}

// cookieName has the prefix that binds a cookie to its host and to HTTPS (RFC
// 6265bis, section 4.1.3.2). On this machine itself there is no TLS to bind to.
func cookieName(r *http.Request) string {
	if onLoopback(r) {
		return "signet-session"
	}
	return "__Host-signet-session"
}

// onLoopback tells whether the browser is on this machine, by the name in its
// address bar.
func onLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
