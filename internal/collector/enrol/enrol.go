// Package enrol gives sidecars the client certificates that ingest asks for. It is
// explicit: who has no token that the collector knows gets none, and a chain is
// known by the key that it was first enrolled with.
package enrol

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/access"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
)

// How long a client certificate is valid, and the part of that after which a
// sidecar renews it. A day bounds what a stolen one is worth.
const (
	lifetime   = 24 * time.Hour
	renewAfter = 16 * time.Hour
)

// Store is what enrolment needs of one.
type Store interface {
	Tenant(ctx context.Context, name string) (store.Tenant, error)
	RegisterChain(ctx context.Context, tenant string, c store.Registration) error
	Chain(ctx context.Context, tenant, id string) (store.Chain, error)
	AddCertificate(ctx context.Context, c store.Certificate) error
}

// Tokens turns a bootstrap token into what it may be used for.
type Tokens interface {
	Authenticate(ctx context.Context, secret string) (store.Token, error)
	// Refuse takes an attempt from the budget of who is at an address and had no valid
	// token. Where there is none left, that is not logged any more.
	Refuse(ctx context.Context, remote string) (retry time.Duration, ok bool)
}

// Budget holds attempts to enrol, whoever makes them, to a number a second.
type Budget interface {
	// Take takes n from the budget of who asks, or says how long to wait.
	Take(ctx context.Context, who string, n int) (wait time.Duration)
}

// Options are what a Server is made of. All are required but Kubernetes.
type Options struct {
	Store      Store
	Tokens     Tokens
	Kubernetes *Kubernetes // nil: service-account tokens are not taken
	Authority  *pki.Authority
	Key        ed25519.PublicKey // that acks are signed with
	Attempts   Budget
	// Caller is who a call comes from, by its client certificate.
	Caller func(ctx context.Context) (pki.Identity, error)
	Now    func() time.Time
	Log    *slog.Logger
}

// Server is the Enrolment service.
type Server struct {
	api.UnimplementedEnrolmentServer
	Options
}

// NewServer returns a Server.
func NewServer(o Options) *Server { return &Server{Options: o} }

// everyone has one budget of attempts: who asks is not known before a token was
// checked.
const everyone = ""

// Enroll implements api.EnrolmentServer.
func (s *Server) Enroll(ctx context.Context, r *api.EnrollRequest) (*api.Credential, error) {
	if wait := s.Attempts.Take(ctx, everyone, 1); wait > 0 {
		return nil, status.Error(codes.ResourceExhausted, "too many sidecars enrol at once: try again")
	}
	// Form before token: what is logged of a request has the form that it should.
	request, pub, err := s.check(r)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	tenant, err := s.tenantOf(ctx, r.GetToken())
	if err != nil {
		return nil, s.refuse(ctx, r, err)
	}
	keys, err := keysOf(r, pub)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.register(ctx, tenant, r, keys); err != nil {
		return nil, err
	}
	credential, err := s.issue(ctx, pki.Identity{Tenant: tenant, Chain: r.GetChainId()}, request)
	if err != nil {
		return nil, err
	}
	// The token may have been revoked meanwhile, and then the chain's certificates,
	// this one not among them.
	if _, err := s.tenantOf(ctx, r.GetToken()); err != nil {
		return nil, s.refuse(ctx, r, err)
	}
	s.Log.InfoContext(ctx, "chain enrolled", "tenant", tenant, "chain", r.GetChainId(), "agent", r.GetAgent())
	return credential, nil
}

// Renew implements api.EnrolmentServer.
func (s *Server) Renew(ctx context.Context, r *api.RenewRequest) (*api.Credential, error) {
	who, err := s.Caller(ctx)
	if err != nil {
		return nil, err
	}
	request, err := parseRequest(r.GetCertificateRequest())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	credential, err := s.issue(ctx, who, request)
	if err != nil {
		return nil, err
	}
	// The chain's certificates may have been revoked meanwhile, this one not among them.
	if _, err := s.Caller(ctx); err != nil {
		return nil, err
	}
	return credential, nil
}

// tenantOf is the tenant that a token lets a sidecar enrol for.
func (s *Server) tenantOf(ctx context.Context, secret string) (string, error) {
	if s.Kubernetes != nil && strings.Count(secret, ".") == 2 {
		tenant, err := s.Kubernetes.Tenant(ctx, secret, s.Now())
		if err != nil {
			return "", err
		}
		_, err = s.Store.Tenant(ctx, tenant)
		if errors.Is(err, store.ErrNotFound) {
			return "", &TokenError{errors.New("the service account's tenant " + tenant + " does not exist; signet-collector tenant create makes it")}
		}
		return tenant, err
	}
	token, err := s.Tokens.Authenticate(ctx, secret)
	switch {
	case access.Refused(err):
		return "", &TokenError{err}
	case err != nil:
		return "", err
	case !token.May(store.ScopeEnroll):
		return "", &TokenError{errors.New("the token lacks the scope " + string(store.ScopeEnroll))}
	}
	return token.Tenant, nil
}

// TokenError says why a token lets nobody enrol.
type TokenError struct{ Err error }

func (e *TokenError) Error() string { return "enrolment token: " + e.Err.Error() }
func (e *TokenError) Unwrap() error { return e.Err }

func (s *Server) refuse(ctx context.Context, r *api.EnrollRequest, err error) error {
	if refused, ok := errors.AsType[*TokenError](err); ok {
		if _, ok := s.Tokens.Refuse(ctx, remoteOf(ctx)); ok {
			s.Log.WarnContext(ctx, "enrolment refused", "remote", remoteOf(ctx), "chain", r.GetChainId(), "error", refused.Error())
		}
		return status.Error(codes.Unauthenticated, refused.Error())
	}
	s.Log.ErrorContext(ctx, "enrolment failed", "error", err)
	return status.Error(codes.Unavailable, "the token could not be checked: try again")
}

// remoteOf is the address that a call came from.
func remoteOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}

// check reads what a request claims and holds it against its proof.
func (*Server) check(r *api.EnrollRequest) (*x509.CertificateRequest, ed25519.PublicKey, error) {
	id, err := uuid.Parse(r.GetChainId())
	if err != nil || id.Version() != 7 || id.String() != r.GetChainId() {
		return nil, nil, errors.New("chain_id is not a UUIDv7 in lower case")
	}
	if n := len(r.GetAgent()); n < 1 || n > 64 || strings.ContainsRune(r.GetAgent(), 0) {
		return nil, nil, errors.New("agent has 1 to 64 bytes, none of which is 0")
	}
	pub, err := receipts.ParsePublicKey(r.GetPublicKey())
	if err != nil {
		return nil, nil, err
	}
	if err := receipts.VerifyEnrolment(pub, r.GetCertificateRequest(), r.GetProof()); err != nil {
		return nil, nil, err
	}
	request, err := parseRequest(r.GetCertificateRequest())
	return request, pub, err
}

// maxKeyRecords bounds what is verified for one request: a key a day, for years.
const maxKeyRecords = 2000

// keysOf are the keys that a request's records introduce, in the order of their use,
// up to the one that has made its proof.
func keysOf(r *api.EnrollRequest, pub ed25519.PublicKey) (keys []ed25519.PublicKey, _ error) {
	lines := r.GetKeyRecords()
	switch {
	case len(lines) == 0:
		return []ed25519.PublicKey{pub}, nil
	case len(lines) > maxKeyRecords:
		return nil, fmt.Errorf("key_records are %d; they are at most %d", len(lines), maxKeyRecords)
	}
	records := make([]receipts.Record, len(lines))
	for i, line := range lines {
		record, err := receipts.Decode(line)
		if err != nil {
			return nil, fmt.Errorf("key_records: %w", err)
		}
		if id := record.RecordHead().Chain.ID; id != r.GetChainId() {
			return nil, fmt.Errorf("key_records: a record of chain %s", id)
		}
		records[i] = record
	}
	introduced, err := receipts.Introduced(records)
	if err != nil {
		return nil, fmt.Errorf("key_records: %w", err)
	}
	for i := range introduced {
		keys = append(keys, introduced[i].PublicKey)
	}
	if !keys[len(keys)-1].Equal(pub) {
		return nil, errors.New("key_records: they do not lead to public_key")
	}
	return keys, nil
}

func parseRequest(der []byte) (*x509.CertificateRequest, error) {
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, errors.New("certificate_request is not a PKCS #10 request")
	}
	if err := request.CheckSignature(); err != nil {
		return nil, errors.New("certificate_request is not signed by its own key")
	}
	return request, nil
}

// register makes the chain known, or finds that it is: with the key that is known
// here, or one that this key has led to in records that are not shipped yet, so that
// whoever holds a token alone cannot take a chain over.
func (s *Server) register(ctx context.Context, tenant string, r *api.EnrollRequest, keys []ed25519.PublicKey) error {
	known, err := s.Store.Chain(ctx, tenant, r.GetChainId())
	if err == nil && slices.ContainsFunc(keys, func(key ed25519.PublicKey) bool { return key.Equal(ed25519.PublicKey(known.PublicKey)) }) {
		return nil
	}
	if errors.Is(err, store.ErrNotFound) {
		err = s.Store.RegisterChain(ctx, tenant, store.Registration{ID: r.GetChainId(), Agent: r.GetAgent(), PublicKey: keys[0], At: s.Now()})
	} else if err == nil {
		err = store.ErrExists
	}
	switch {
	case errors.Is(err, store.ErrExists):
		s.Log.WarnContext(ctx, "enrolment refused", "tenant", tenant, "chain", r.GetChainId(), "error", "the chain is enrolled with another key")
		return status.Error(codes.AlreadyExists, "the chain is enrolled with another key")
	case err != nil:
		s.Log.ErrorContext(ctx, "enrolment failed", "error", err)
		return status.Error(codes.Unavailable, "the store does not answer")
	}
	return nil
}

// issue makes a client certificate, on record before it is handed out.
func (s *Server) issue(ctx context.Context, who pki.Identity, request *x509.CertificateRequest) (*api.Credential, error) {
	cert, err := s.Authority.Client(who, request.PublicKey, lifetime)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "no certificate can be issued for this key")
	}
	now := s.Now()
	if err := s.Store.AddCertificate(ctx, store.Certificate{
		Serial: cert.SerialNumber.Text(16), Tenant: who.Tenant, Chain: who.Chain, Issued: now, NotAfter: cert.NotAfter,
	}); err != nil {
		s.Log.ErrorContext(ctx, "enrolment failed", "error", err)
		return nil, status.Error(codes.Unavailable, "the store does not answer")
	}
	return &api.Credential{
		Certificates: [][]byte{cert.Raw}, ExpiresInMs: cert.NotAfter.Sub(now).Milliseconds(), RenewInMs: renewAfter.Milliseconds(),
		Tenant: who.Tenant, AckKeys: receipts.JWKS(receipts.ChainKey{PublicKey: s.Key}),
	}, nil
}
