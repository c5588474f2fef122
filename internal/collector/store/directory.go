package store

import (
	"context"
	"slices"
	"time"
)

// Directory is how a tenant is found: by name, by the token of a reader or of an
// enrolment, by the serial number of a certificate. It is the one part that is
// read before a tenant is known.
type Directory interface {
	Tenants
	// CreateTenant adds a tenant. ErrExists where there is one of this name.
	CreateTenant(ctx context.Context, t Tenant) error
	// Tenant is the one of this name, or ErrNotFound.
	Tenant(ctx context.Context, name string) (Tenant, error)

	// AddToken adds a token. ErrNotFound where its tenant is not known.
	AddToken(ctx context.Context, t Token) error
	// TokenByDigest finds a token by the SHA-256 of its secret, revoked and expired
	// ones too, or ErrNotFound.
	TokenByDigest(ctx context.Context, digest [32]byte) (Token, error)
	// Tokens are the tenant's, the newest first, 1,000 at most.
	Tokens(ctx context.Context, tenant string) ([]Token, error)
	// RevokeToken ends a token, or does nothing where it has ended before.
	// ErrNotFound where the tenant has none of this id.
	RevokeToken(ctx context.Context, tenant, id string, at time.Time) error

	// AddCertificate records a client certificate that was issued.
	AddCertificate(ctx context.Context, c Certificate) error
	// Certificate finds one by its serial number, in hex, or ErrNotFound.
	Certificate(ctx context.Context, tenant, serial string) (Certificate, error)
	// Certificates are those of a chain, the newest first, 1,000 at most.
	Certificates(ctx context.Context, tenant, chain string) ([]Certificate, error)
	// RevokeCertificates ends all certificates of a chain.
	RevokeCertificates(ctx context.Context, tenant, chain string, at time.Time) error
}

// Tenants lists tenants.
type Tenants interface {
	// Tenants lists tenants by name, after the one given ("" for all), limit at most.
	Tenants(ctx context.Context, after string, limit int) ([]Tenant, error)
}

// Tenant is who records belong to.
type Tenant struct {
	Name    string // 1 to 64 letters, digits, dots, dashes and underscores
	Created time.Time
}

// EachTenant calls each with every tenant, by name, page by page, until one fails.
func EachTenant(ctx context.Context, all Tenants, each func(Tenant) error) error {
	const page = 1000
	for after := ""; ; {
		tenants, err := all.Tenants(ctx, after, page)
		if err != nil {
			return err
		}
		for _, t := range tenants {
			if err := each(t); err != nil {
				return err
			}
		}
		if len(tenants) < page {
			return nil
		}
		after = tenants[page-1].Name
	}
}

// Scope is something that a token may be used for.
type Scope string

// The closed set of scopes.
const (
	ScopeReceiptsRead Scope = "receipts.read" // receipts, chains, traces, usage, the log
	ScopeExport       Scope = "export"        // audit bundles
	ScopeBillingRead  Scope = "billing.read"  // invoices
	ScopeAdmin        Scope = "admin"         // tokens and certificates of the tenant
	ScopeEnroll       Scope = "enroll"        // a client certificate for a new chain
)

// Scopes are all that there are.
func Scopes() []Scope {
	return []Scope{ScopeReceiptsRead, ScopeExport, ScopeBillingRead, ScopeAdmin, ScopeEnroll}
}

// Token lets its bearer act for a tenant.
type Token struct {
	ID      string // public: lists and logs name the token by it
	Tenant  string
	Digest  [32]byte // SHA-256 of the secret, which is not kept
	Scopes  []Scope
	Created time.Time
	Expires time.Time // zero: never
	Revoked time.Time // zero: not
}

// Valid tells whether the token may be used at a time.
func (t *Token) Valid(at time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || at.Before(t.Expires))
}

// May tells whether the token has a scope. admin does not contain the others.
func (t *Token) May(s Scope) bool { return slices.Contains(t.Scopes, s) }

// Certificate is a client certificate that the collector has issued.
type Certificate struct {
	Serial   string // hex, lower case
	Tenant   string
	Chain    string
	Issued   time.Time
	NotAfter time.Time
	Revoked  time.Time // zero: not
}
