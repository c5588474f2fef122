// Package access says who asks: it turns a bearer token into the tenant that it
// acts for and what it may do there, and bounds how often that may be asked.
//
// The tenant comes from the credential and from nowhere else.
package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Tokens is what is needed of the store.
type Tokens interface {
	TokenByDigest(ctx context.Context, digest [32]byte) (store.Token, error)
}

// Errors of Authenticate. What a caller is told does not depend on which it was.
var (
	ErrMissing = errors.New("no bearer token")
	ErrUnknown = errors.New("the token is not known")
	ErrEnded   = errors.New("the token has expired or was revoked")
)

// maxSecret bounds what is hashed of a token that was made up, in bytes.
const maxSecret = 512

// Budget holds each of those who ask to a number of things a second.
type Budget interface {
	// Take takes n from the budget of who asks. Where there is less left it takes
	// nothing, and says after how long there will be as much.
	Take(ctx context.Context, who string, n int) (wait time.Duration)
}

// Gate authenticates and bounds requests. It is safe for concurrent use.
type Gate struct {
	tokens   Tokens
	now      func() time.Time
	requests Budget
	refused  Budget
}

// NewGate returns a Gate. Each token has a budget of requests, and each address one
// of attempts with tokens that are not valid.
func NewGate(tokens Tokens, now func() time.Time, requests, refused Budget) *Gate {
	return &Gate{tokens: tokens, now: now, requests: requests, refused: refused}
}

// Bearer is the token of an Authorization header (RFC 6750, section 2.1), or
// ErrMissing.
func Bearer(h http.Header) (string, error) {
	values := h["Authorization"]
	if len(values) != 1 {
		return "", ErrMissing
	}
	scheme, secret, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return "", ErrMissing
	}
	return secret, nil
}

// Authenticate finds the token with a secret. It is found by its digest, so that
// how long that takes says nothing of the secret.
func (g *Gate) Authenticate(ctx context.Context, secret string) (store.Token, error) {
	if secret == "" || len(secret) > maxSecret {
		return store.Token{}, ErrUnknown
	}
	t, err := g.tokens.TokenByDigest(ctx, sha256.Sum256([]byte(secret)))
	if errors.Is(err, store.ErrNotFound) {
		return store.Token{}, ErrUnknown
	}
	if err != nil {
		return store.Token{}, fmt.Errorf("look a token up: %w", err)
	}
	if !t.Valid(g.now()) {
		return store.Token{}, ErrEnded
	}
	return t, nil
}

// Refused tells whether an error of Authenticate is about the token, rather than
// about the store.
func Refused(err error) bool {
	return errors.Is(err, ErrMissing) || errors.Is(err, ErrUnknown) || errors.Is(err, ErrEnded)
}

// Refuse takes an attempt from the budget of who is at an address ("HOST:PORT") and
// had no valid token. Where there is none left, that need not be logged any more.
// Valid tokens are let in all the same: the address may be a proxy's, of which
// one client must not shut the others out.
func (g *Gate) Refuse(ctx context.Context, remote string) (retry time.Duration, ok bool) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	retry = g.refused.Take(ctx, host, 1)
	return retry, retry == 0
}

// Allow takes one request of a token's from its budget. Where there is none left
// it says after how long there will be.
func (g *Gate) Allow(ctx context.Context, tokenID string) (retry time.Duration, ok bool) {
	retry = g.requests.Take(ctx, tokenID, 1)
	return retry, retry == 0
}
