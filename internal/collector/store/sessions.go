package store

import (
	"context"
	"time"
)

// Sessions are logins to the pages. A session is found by the SHA-256 of a secret
// that its browser alone has, before a tenant is known.
type Sessions interface {
	// BeginSession adds a session of a token. Where the token has MaxSessions, the one
	// that began first ends. ErrNotFound where there is no such token.
	BeginSession(ctx context.Context, s Session) error
	// Session finds one by its digest, be it or its token over or not, or ErrNotFound.
	Session(ctx context.Context, digest [32]byte) (Session, error)
	// UseSession notes that a session was used at a time.
	UseSession(ctx context.Context, digest [32]byte, at time.Time) error
	// EndSession ends a session, or does nothing where it has ended before.
	EndSession(ctx context.Context, digest [32]byte) error
	// EndSessions ends all sessions of a token.
	EndSessions(ctx context.Context, tenant, tokenID string) error
	// SweepSessions forgets those that were used before a time and not since. It
	// returns how many those were.
	SweepSessions(ctx context.Context, before time.Time) (int64, error)
}

// MaxSessions is how many sessions a token has at most: more than one who uses it
// has browsers, and few enough for the table to stay small whatever a script does.
const MaxSessions = 20

// How long a session lasts: a working day, after which the token is asked for
// again, and less where nobody uses it.
const (
	SessionLife = 12 * time.Hour
	SessionIdle = time.Hour
)

// Session is a login.
type Session struct {
	Digest [32]byte // SHA-256 of the secret, which is not kept
	Token  Token    // that it was begun with; BeginSession needs its ID and Tenant
	Begun  time.Time
	Used   time.Time // the last time, within a minute
}

// Valid tells whether the session may be used at a time.
func (s *Session) Valid(at time.Time) bool {
	return at.Before(s.Begun.Add(SessionLife)) && at.Before(s.Used.Add(SessionIdle)) && s.Token.Valid(at)
}
