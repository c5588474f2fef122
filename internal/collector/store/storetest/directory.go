package storetest

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

func testDirectory(t *testing.T, s store.Store) {
	ctx := t.Context()
	create(t, s, "beta")
	wantError(t, "create again", s.CreateTenant(ctx, store.Tenant{Name: "beta", Created: day}), store.ErrExists)
	same(t, "tenants", get(s.Tenants(ctx, "", 10))(t), []store.Tenant{{Name: "acme", Created: day}, {Name: "beta", Created: day}})
	same(t, "tenants after", get(s.Tenants(ctx, "acme", 1))(t), []store.Tenant{{Name: "beta", Created: day}})
	_, err := s.Tenant(ctx, "gamma")
	wantError(t, "no tenant", err, store.ErrNotFound)

	token := store.Token{
		ID: "t1", Tenant: "acme", Digest: sha256.Sum256([]byte("secret")), Scopes: []store.Scope{store.ScopeExport, store.ScopeReceiptsRead},
		Created: day, Expires: day.Add(time.Hour),
	}
	must(t, s.AddToken(ctx, token))
	wantError(t, "add again", s.AddToken(ctx, token), store.ErrExists)
	wantError(t, "no such tenant", s.AddToken(ctx, store.Token{ID: "t2", Tenant: "gamma"}), store.ErrNotFound)
	same(t, "by digest", get(s.TokenByDigest(ctx, token.Digest))(t), token)
	_, err = s.TokenByDigest(ctx, sha256.Sum256([]byte("guess")))
	wantError(t, "a guess", err, store.ErrNotFound)
	wantError(t, "another tenant's", s.RevokeToken(ctx, "beta", "t1", day), store.ErrNotFound)
	must(t, s.RevokeToken(ctx, "acme", "t1", day.Add(time.Minute)))
	must(t, s.RevokeToken(ctx, "acme", "t1", day.Add(time.Hour)))
	token.Revoked = day.Add(time.Minute)
	same(t, "revoked", get(s.Tokens(ctx, "acme"))(t), []store.Token{token})
	same(t, "other tokens", get(s.Tokens(ctx, "beta"))(t), nil)
}

func testCertificates(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := register(t, s, "a", day)
	cert := store.Certificate{Serial: "0f", Tenant: "acme", Chain: c.ID, Issued: day, NotAfter: day.Add(time.Hour)}
	must(t, s.AddCertificate(ctx, cert))
	same(t, "by serial", get(s.Certificate(ctx, "acme", "0f"))(t), cert)
	_, err := s.Certificate(ctx, "beta", "0f")
	wantError(t, "another tenant's", err, store.ErrNotFound)
	must(t, s.RevokeCertificates(ctx, "acme", c.ID, day.Add(time.Minute)))
	cert.Revoked = day.Add(time.Minute)
	same(t, "revoked", get(s.Certificates(ctx, "acme", c.ID))(t), []store.Certificate{cert})
}
