package enrol_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/access"
	"github.com/signet-egress/signet/internal/collector/budget"
	"github.com/signet-egress/signet/internal/collector/enrol"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/sqlite"
	"github.com/signet-egress/signet/internal/testkit/chains"
	"github.com/signet-egress/signet/receipts"
)

const secret = "signet_secret"

// desk is where sidecars enrol.
type desk struct {
	*enrol.Server
	t      *testing.T
	store  store.Store
	now    time.Time
	caller func() (pki.Identity, error)
	logs   bytes.Buffer
}

// newDesk has the tenant acme with one token that lets sidecars enrol.
func newDesk(t *testing.T, cluster *enrol.Kubernetes) *desk {
	t.Helper()
	dir := t.TempDir()
	kept, err := sqlite.Open(t.Context(), filepath.Join(dir, "collector.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	authority, err := pki.LoadAuthority(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, store: kept, now: time.Now()}
	now := func() time.Time { return d.now }
	d.Server = enrol.NewServer(enrol.Options{
		Store: kept, Tokens: access.NewGate(kept, now, nil, budget.NewLocal(budget.Limit{PerSecond: 1, Burst: 30}, now)), Kubernetes: cluster, Authority: authority, Key: key, Attempts: budget.NewLocal(budget.Limit{PerSecond: 50, Burst: 500}, now), Now: now,
		Caller: func(context.Context) (pki.Identity, error) { return d.caller() },
		Log:    slog.New(slog.NewTextHandler(&d.logs, nil)),
	})
	d.tenant("acme")
	d.token(secret, store.ScopeEnroll)
	return d
}

func (d *desk) tenant(name string) {
	d.t.Helper()
	if err := d.store.CreateTenant(d.t.Context(), store.Tenant{Name: name, Created: d.now}); err != nil {
		d.t.Fatal(err)
	}
}

// token makes one of acme's that ends in an hour. Its id is its secret.
func (d *desk) token(secret string, scopes ...store.Scope) {
	d.t.Helper()
	if err := d.store.AddToken(d.t.Context(), store.Token{
		ID: secret, Tenant: "acme", Digest: sha256.Sum256([]byte(secret)), Scopes: scopes, Created: d.now, Expires: d.now.Add(time.Hour),
	}); err != nil {
		d.t.Fatal(err)
	}
}

// request is what the sidecar of a chain sends.
func request(t *testing.T, chain string, key ed25519.PrivateKey, token string) *api.EnrollRequest {
	t.Helper()
	der, _ := certificateRequest(t)
	pub, _ := key.Public().(ed25519.PublicKey)
	return &api.EnrollRequest{
		Token: token, ChainId: chain, Agent: "billing-agent", PublicKey: pub,
		CertificateRequest: der, Proof: receipts.SignEnrolment(key, der),
	}
}

func certificateRequest(t *testing.T) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issued is who a credential's certificate is for. It must be on record.
func (d *desk) issued(c *api.Credential) pki.Identity {
	d.t.Helper()
	cert, err := x509.ParseCertificate(c.GetCertificates()[0])
	if err != nil {
		d.t.Fatal(err)
	}
	who, err := pki.IdentityOf(cert)
	if err != nil {
		d.t.Fatal(err)
	}
	kept, err := d.store.Certificate(d.t.Context(), who.Tenant, who.Serial)
	if err != nil || kept.Chain != who.Chain || !kept.Revoked.IsZero() {
		d.t.Errorf("the certificate is on record as %+v, %v", kept, err)
	}
	lives := cert.NotAfter.Sub(d.now)
	told, renews := time.Duration(c.GetExpiresInMs())*time.Millisecond, time.Duration(c.GetRenewInMs())*time.Millisecond
	if lives > 24*time.Hour+time.Minute || told != lives.Truncate(time.Millisecond) || renews <= 0 || renews >= lives {
		d.t.Errorf("it lives for %s, as told %s, and is renewed after %s", lives, told, renews)
	}
	return who
}

func TestEnroll(t *testing.T) {
	d := newDesk(t, nil)
	chain, key := chains.UUID(), newKey(t)
	credential, err := d.Enroll(t.Context(), request(t, chain, key, secret))
	if err != nil {
		t.Fatal(err)
	}
	if who := d.issued(credential); who.Tenant != "acme" || who.Chain != chain || credential.GetTenant() != "acme" {
		t.Errorf("it is for %+v", who)
	}
	if keys, err := receipts.ParseJWKS(credential.GetAckKeys()); err != nil || keys.Key(receipts.KeyID(d.Key)) == nil {
		t.Errorf("the ack keys lack the collector's: %v", err)
	}
	kept, err := d.store.Chain(t.Context(), "acme", chain)
	if err != nil || kept.Agent != "billing-agent" || !key.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(kept.PublicKey)) {
		t.Errorf("the chain is %+v, %v", kept, err)
	}
	// The same sidecar, which has lost its credential.
	if _, err := d.Enroll(t.Context(), request(t, chain, key, secret)); err != nil {
		t.Errorf("again: %v", err)
	}
	if certs, err := d.store.Certificates(t.Context(), "acme", chain); err != nil || len(certs) != 2 {
		t.Errorf("%d certificates, %v", len(certs), err)
	}
}

// Whoever is refused gets no certificate, and no chain is made known.
func TestEnrollRefuses(t *testing.T) {
	d := newDesk(t, nil)
	d.token("signet_reader", store.ScopeReceiptsRead, store.ScopeExport, store.ScopeAdmin)
	d.token("signet_revoked", store.ScopeEnroll)
	if err := d.store.RevokeToken(t.Context(), "acme", "signet_revoked", d.now); err != nil {
		t.Fatal(err)
	}
	other := newKey(t)
	for name, c := range map[string]struct {
		change func(r *api.EnrollRequest)
		code   codes.Code
		says   string
	}{
		"no token":         {func(r *api.EnrollRequest) { r.Token = "" }, codes.Unauthenticated, "not known"},
		"an unknown token": {func(r *api.EnrollRequest) { r.Token = "signet_guess" }, codes.Unauthenticated, "not known"},
		"a long token":     {func(r *api.EnrollRequest) { r.Token = strings.Repeat("x", 1<<20) }, codes.Unauthenticated, "not known"},
		"another scope":    {func(r *api.EnrollRequest) { r.Token = "signet_reader" }, codes.Unauthenticated, "lacks the scope enroll"},
		"a revoked token":  {func(r *api.EnrollRequest) { r.Token = "signet_revoked" }, codes.Unauthenticated, "has expired or was revoked"},
		"a cluster's token where none is known": {
			func(r *api.EnrollRequest) { r.Token = "a.b.c" }, codes.Unauthenticated, "not known",
		},
		"no UUID":            {func(r *api.EnrollRequest) { r.ChainId = "chain" }, codes.InvalidArgument, "UUIDv7"},
		"a UUID of random":   {func(r *api.EnrollRequest) { r.ChainId = "8c5b5f0e-8a3f-4a55-9d55-0f5b2d8f6a11" }, codes.InvalidArgument, "UUIDv7"},
		"in upper case":      {func(r *api.EnrollRequest) { r.ChainId = strings.ToUpper(r.ChainId) }, codes.InvalidArgument, "lower case"},
		"no agent":           {func(r *api.EnrollRequest) { r.Agent = "" }, codes.InvalidArgument, "agent"},
		"a long agent":       {func(r *api.EnrollRequest) { r.Agent = strings.Repeat("a", 65) }, codes.InvalidArgument, "agent"},
		"a NUL in the agent": {func(r *api.EnrollRequest) { r.Agent = "a\x00" }, codes.InvalidArgument, "agent"},
		"no key":             {func(r *api.EnrollRequest) { r.PublicKey = nil }, codes.InvalidArgument, "key"},
		"a small-order key":  {func(r *api.EnrollRequest) { r.PublicKey = make([]byte, 32) }, codes.InvalidArgument, "key"},
		"no proof":           {func(r *api.EnrollRequest) { r.Proof = nil }, codes.InvalidArgument, "proof"},
		"another's proof":    {func(r *api.EnrollRequest) { r.Proof = receipts.SignEnrolment(other, r.CertificateRequest) }, codes.InvalidArgument, "proof"},
		"a proof of another": {func(r *api.EnrollRequest) { r.CertificateRequest, _ = certificateRequest(t) }, codes.InvalidArgument, "proof"},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, chains.UUID(), newKey(t), secret)
			chain := r.GetChainId()
			c.change(r)
			d.refuses(r, c.code, c.says)
			if _, err := d.store.Chain(t.Context(), "acme", chain); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the chain is known: %v", err)
			}
		})
	}
	if strings.Contains(d.logs.String(), "signet_") {
		t.Error("a token is in the log")
	}
	d.now = d.now.Add(2 * time.Hour)
	d.refuses(request(t, chains.UUID(), newKey(t), secret), codes.Unauthenticated, "has expired or was revoked")
}

func (d *desk) refuses(r *api.EnrollRequest, code codes.Code, says string) {
	d.t.Helper()
	credential, err := d.Enroll(d.t.Context(), r)
	if credential != nil || status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), says) {
		d.t.Errorf("%v, want %s with %q", err, code, says)
	}
}

// A certificate request that the chain's key vouches for must still be one.
func TestBadCertificateRequests(t *testing.T) {
	d := newDesk(t, nil)
	good, _ := certificateRequest(t)
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	for name, der := range map[string][]byte{"empty": nil, "no DER": []byte("PKCS #10"), "cut": good[:len(good)-9], "of another key": forged} {
		t.Run(name, func(t *testing.T) {
			key := newKey(t)
			r := request(t, chains.UUID(), key, secret)
			r.CertificateRequest, r.Proof = der, receipts.SignEnrolment(key, der)
			d.refuses(r, codes.InvalidArgument, "certificate_request")
			d.caller = func() (pki.Identity, error) { return pki.Identity{Tenant: "acme", Chain: r.GetChainId()}, nil }
			if _, err := d.Renew(t.Context(), &api.RenewRequest{CertificateRequest: der}); status.Code(err) != codes.InvalidArgument {
				t.Errorf("renewed: %v", err)
			}
		})
	}
}

// Who has a token, but not the key of a chain that is enrolled, does not take it
// over: neither within its tenant, nor from another.
func TestChainsAreNotTakenOver(t *testing.T) {
	d := newDesk(t, nil)
	chain, key := chains.UUID(), newKey(t)
	if _, err := d.Enroll(t.Context(), request(t, chain, key, secret)); err != nil {
		t.Fatal(err)
	}
	d.refuses(request(t, chain, newKey(t), secret), codes.AlreadyExists, "another key")
	kept, err := d.store.Chain(t.Context(), "acme", chain)
	if err != nil || !key.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(kept.PublicKey)) {
		t.Errorf("the chain's key is %x, %v", kept.PublicKey, err)
	}
	if certs, err := d.store.Certificates(t.Context(), "acme", chain); err != nil || len(certs) != 1 {
		t.Errorf("%d certificates, %v", len(certs), err)
	}
}

// The request says nothing of what goes into the certificate but its key.
func TestRequestDoesNotNameItself(t *testing.T) {
	d := newDesk(t, nil)
	sidecar, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := pki.Identity{Tenant: "other", Chain: chains.UUID()}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		DNSNames: []string{"collector.example"}, URIs: []*url.URL{elsewhere.URI()},
	}, sidecar)
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	r := request(t, chains.UUID(), key, secret)
	r.CertificateRequest, r.Proof = der, receipts.SignEnrolment(key, der)
	credential, err := d.Enroll(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(credential.GetCertificates()[0])
	if err != nil {
		t.Fatal(err)
	}
	if who := d.issued(credential); who.Tenant != "acme" || who.Chain != r.GetChainId() || len(cert.DNSNames) > 0 || cert.IsCA {
		t.Errorf("%+v, %v", who, cert.DNSNames)
	}
}

func TestRenew(t *testing.T) {
	d := newDesk(t, nil)
	chain := chains.UUID()
	first, err := d.Enroll(t.Context(), request(t, chain, newKey(t), secret))
	if err != nil {
		t.Fatal(err)
	}
	before := d.issued(first)
	d.caller = func() (pki.Identity, error) { return before, nil }
	der, key := certificateRequest(t)
	second, err := d.Renew(t.Context(), &api.RenewRequest{CertificateRequest: der})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(second.GetCertificates()[0])
	if err != nil {
		t.Fatal(err)
	}
	if after := d.issued(second); after.Serial == before.Serial || after.Tenant != "acme" || after.Chain != chain || !key.PublicKey.Equal(cert.PublicKey) {
		t.Errorf("%+v became %+v", before, after)
	}
	d.caller = func() (pki.Identity, error) { return pki.Identity{}, status.Error(codes.Unauthenticated, "revoked") }
	if _, err := d.Renew(t.Context(), &api.RenewRequest{CertificateRequest: der}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("with a certificate that does not count: %v", err)
	}
}

// Guessing is bounded, and a fleet that restarts is not: 500 at once, and 50 more
// each second.
func TestAttemptsAreBounded(t *testing.T) {
	d := newDesk(t, nil)
	guess := request(t, chains.UUID(), newKey(t), "signet_guess")
	attempt := func() codes.Code {
		_, err := d.Enroll(t.Context(), guess)
		return status.Code(err)
	}
	for i := range 500 {
		if code := attempt(); code != codes.Unauthenticated {
			t.Fatalf("attempt %d: %s", i+1, code)
		}
	}
	if code := attempt(); code != codes.ResourceExhausted {
		t.Errorf("attempt 501: %s", code)
	}
	if n := strings.Count(d.logs.String(), "enrolment refused"); n != 30 {
		t.Errorf("%d lines in the log", n)
	}
	d.now = d.now.Add(time.Second)
	for i := range 50 {
		if code := attempt(); code != codes.Unauthenticated {
			t.Fatalf("attempt %d of the next second: %s", i+1, code)
		}
	}
	if code := attempt(); code != codes.ResourceExhausted {
		t.Errorf("attempt 51 of the next second: %s", code)
	}
}

// Who has no token cannot write what they like into the log.
func TestNoFormIsNotLogged(t *testing.T) {
	d := newDesk(t, nil)
	r := request(t, chains.UUID(), newKey(t), "signet_guess")
	r.ChainId = strings.Repeat("x", 1<<20)
	d.refuses(r, codes.InvalidArgument, "UUIDv7")
	if d.logs.Len() > 0 {
		t.Errorf("%d bytes in the log", d.logs.Len())
	}
}

// What goes wrong in the store is not told to sidecars, and is no refusal.
func TestStoreDown(t *testing.T) {
	d := newDesk(t, nil)
	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
	d.refuses(request(t, chains.UUID(), newKey(t), secret), codes.Unavailable, "try again")
}

// A chain whose key has changed enrols all the same, be it known here or not: its
// records show which key led to which.
func TestEnrollAfterKeyChanges(t *testing.T) {
	d := newDesk(t, nil)
	c, other := chains.New("acme", "billing-agent", d.now), chains.New("acme", "billing-agent", d.now)
	rotated := func() *api.EnrollRequest {
		c.ChangeKey()
		r := request(t, c.ID, c.Key, secret)
		r.KeyRecords = c.Lines // which are its genesis and key changes
		return r
	}
	for range 2 {
		if _, err := d.Enroll(t.Context(), rotated()); err != nil {
			t.Fatal(err)
		}
		kept, err := d.store.Chain(t.Context(), "acme", c.ID)
		if first := c.FirstKey.Public().(ed25519.PublicKey); err != nil || !first.Equal(ed25519.PublicKey(kept.PublicKey)) {
			t.Errorf("the chain is known by %s, %v", kept.KID, err)
		}
	}
	for name, change := range map[string]func(r *api.EnrollRequest){
		"no records":      func(r *api.EnrollRequest) { r.KeyRecords = nil },
		"no key change":   func(r *api.EnrollRequest) { r.KeyRecords = r.KeyRecords[:1] },
		"no genesis":      func(r *api.EnrollRequest) { r.KeyRecords = r.KeyRecords[1:] },
		"another's chain": func(r *api.EnrollRequest) { r.KeyRecords = other.Lines },
		"no record":       func(r *api.EnrollRequest) { r.KeyRecords = [][]byte{[]byte("{}")} },
		"too many":        func(r *api.EnrollRequest) { r.KeyRecords = make([][]byte, 2001) },
	} {
		r := rotated()
		change(r)
		want := codes.InvalidArgument
		if name == "no records" {
			want = codes.AlreadyExists
		}
		if _, err := d.Enroll(t.Context(), r); status.Code(err) != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

// meanwhile is a store in which something happens before a certificate is on record.
type meanwhile struct {
	store.Store
	happens func()
}

func (m *meanwhile) AddCertificate(ctx context.Context, c store.Certificate) error {
	m.happens()
	return m.Store.AddCertificate(ctx, c)
}

// A certificate that is issued while the chain's are revoked is not handed out.
func TestRevokedMeanwhile(t *testing.T) {
	d := newDesk(t, nil)
	chain, key := chains.UUID(), newKey(t)
	credential, err := d.Enroll(t.Context(), request(t, chain, key, secret))
	if err != nil {
		t.Fatal(err)
	}
	who := d.issued(credential)
	d.caller = func() (pki.Identity, error) {
		if kept, err := d.store.Certificate(t.Context(), who.Tenant, who.Serial); err != nil || !kept.Revoked.IsZero() {
			return pki.Identity{}, status.Error(codes.Unauthenticated, "revoked")
		}
		return who, nil
	}
	d.Store = &meanwhile{d.store, func() {
		err := errors.Join(d.store.RevokeToken(t.Context(), "acme", secret, d.now), d.store.RevokeCertificates(t.Context(), "acme", chain, d.now))
		if err != nil {
			t.Error(err)
		}
	}}
	der, _ := certificateRequest(t)
	if _, err := d.Renew(t.Context(), &api.RenewRequest{CertificateRequest: der}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a renewal: %v", err)
	}
	d.token("another", store.ScopeEnroll)
	d.Store = &meanwhile{d.store, func() {
		if err := d.store.RevokeToken(t.Context(), "acme", "another", d.now); err != nil {
			t.Error(err)
		}
	}}
	if _, err := d.Enroll(t.Context(), request(t, chain, key, "another")); status.Code(err) != codes.Unauthenticated {
		t.Errorf("an enrolment: %v", err)
	}
}
