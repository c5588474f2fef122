package relation

import (
	"context"
	"strings"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// CreateTenant implements store.Directory.
func (s *Store) CreateTenant(ctx context.Context, t store.Tenant) error {
	return s.writing(ctx, "", "tenant "+t.Name, func(tx Tx) error {
		return inserted(tx.Exec(ctx, `INSERT INTO tenants (tenant, created) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
			t.Name, when(t.Created)))
	})
}

const selectTenant = `SELECT tenant, created FROM tenants WHERE tenant = $1`

// Tenant implements store.Directory.
func (s *Store) Tenant(ctx context.Context, name string) (store.Tenant, error) {
	return reading(ctx, s, "", "tenant "+name, func(tx Tx) (store.Tenant, error) {
		return one(ctx, tx, scanTenant, selectTenant, name)
	})
}

// Tenants implements store.Directory.
func (s *Store) Tenants(ctx context.Context, after string, limit int) ([]store.Tenant, error) {
	return reading(ctx, s, "", "tenants", func(tx Tx) ([]store.Tenant, error) {
		return list(ctx, tx, scanTenant,
			`SELECT tenant, created FROM tenants WHERE tenant > $1 ORDER BY tenant LIMIT $2`, after, page(limit, 100, 1000))
	})
}

func scanTenant(scan scan) (t store.Tenant, err error) {
	err = scan(&t.Name, timeOf(&t.Created))
	return t, err
}

// AddToken implements store.Directory.
func (s *Store) AddToken(ctx context.Context, t store.Token) error {
	scopes := make([]string, len(t.Scopes))
	for i, scope := range t.Scopes {
		scopes[i] = string(scope)
	}
	return s.writing(ctx, "", "token "+t.ID, func(tx Tx) error {
		if _, err := one(ctx, tx, scanTenant, selectTenant, t.Tenant); err != nil {
			return err
		}
		return inserted(tx.Exec(ctx,
			`INSERT INTO tokens (token_id, tenant, digest, scopes, created, expires, revoked)
			 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
			t.ID, t.Tenant, t.Digest[:], strings.Join(scopes, " "), when(t.Created), when(t.Expires), when(t.Revoked)))
	})
}

const tokenColumns = `token_id, tenant, digest, scopes, created, expires, revoked`

// TokenByDigest implements store.Directory.
func (s *Store) TokenByDigest(ctx context.Context, digest [32]byte) (store.Token, error) {
	return reading(ctx, s, "", "token", func(tx Tx) (store.Token, error) {
		return one(ctx, tx, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE digest = $1`, digest[:])
	})
}

// Tokens implements store.Directory.
func (s *Store) Tokens(ctx context.Context, tenant string) ([]store.Token, error) {
	return reading(ctx, s, "", "tokens", func(tx Tx) ([]store.Token, error) {
		return list(ctx, tx, scanToken,
			`SELECT `+tokenColumns+` FROM tokens WHERE tenant = $1 ORDER BY created DESC, token_id DESC LIMIT 1000`, tenant)
	})
}

// RevokeToken implements store.Directory.
func (s *Store) RevokeToken(ctx context.Context, tenant, id string, at time.Time) error {
	return s.writing(ctx, "", "token "+id, func(tx Tx) error {
		return updated(tx.Exec(ctx,
			`UPDATE tokens SET revoked = COALESCE(revoked, $3) WHERE tenant = $1 AND token_id = $2`, tenant, id, when(at)))
	})
}

func scanToken(scan scan) (t store.Token, err error) {
	var digest []byte
	var scopes string
	err = scan(&t.ID, &t.Tenant, &digest, &scopes, timeOf(&t.Created), timeOf(&t.Expires), timeOf(&t.Revoked))
	copy(t.Digest[:], digest)
	for scope := range strings.FieldsSeq(scopes) {
		t.Scopes = append(t.Scopes, store.Scope(scope))
	}
	return t, err
}

// AddCertificate implements store.Directory.
func (s *Store) AddCertificate(ctx context.Context, c store.Certificate) error {
	return s.writing(ctx, c.Tenant, "certificate "+c.Serial, func(tx Tx) error {
		return inserted(tx.Exec(ctx,
			`INSERT INTO certificates (tenant, serial, chain_id, issued, not_after, revoked)
			 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
			c.Tenant, c.Serial, c.Chain, when(c.Issued), when(c.NotAfter), when(c.Revoked)))
	})
}

const certificateColumns = `tenant, serial, CAST(chain_id AS text) AS chain, issued, not_after, revoked`

// Certificate implements store.Directory.
func (s *Store) Certificate(ctx context.Context, tenant, serial string) (store.Certificate, error) {
	return reading(ctx, s, tenant, "certificate "+serial, func(tx Tx) (store.Certificate, error) {
		return one(ctx, tx, scanCertificate,
			`SELECT `+certificateColumns+` FROM certificates WHERE tenant = $1 AND serial = $2`, tenant, serial)
	})
}

// Certificates implements store.Directory.
func (s *Store) Certificates(ctx context.Context, tenant, chain string) ([]store.Certificate, error) {
	if !isUUID(chain) {
		return nil, nil
	}
	return reading(ctx, s, tenant, "certificates of "+chain, func(tx Tx) ([]store.Certificate, error) {
		return list(ctx, tx, scanCertificate,
			`SELECT `+certificateColumns+` FROM certificates WHERE tenant = $1 AND chain_id = $2
			 ORDER BY issued DESC, serial DESC LIMIT 1000`, tenant, chain)
	})
}

// RevokeCertificates implements store.Directory.
func (s *Store) RevokeCertificates(ctx context.Context, tenant, chain string, at time.Time) error {
	if !isUUID(chain) {
		return store.ErrNotFound
	}
	return s.writing(ctx, tenant, "certificates of "+chain, func(tx Tx) error {
		// One that is being added refers to the row: it is there when this has the lock,
		// or comes after it.
		if _, err := one(ctx, tx, scanChain, selectChain+s.Lock(), tenant, chain); err != nil {
			return err
		}
		return updated(tx.Exec(ctx,
			`UPDATE certificates SET revoked = COALESCE(revoked, $3) WHERE tenant = $1 AND chain_id = $2`,
			tenant, chain, when(at)))
	})
}

func scanCertificate(scan scan) (c store.Certificate, err error) {
	err = scan(&c.Tenant, &c.Serial, &c.Chain, timeOf(&c.Issued), timeOf(&c.NotAfter), timeOf(&c.Revoked))
	return c, err
}
