package ship

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/receipts"
)

// credentialName is the file in the data directory that a credential is kept in.
const credentialName = "collector.json"

// credential is what a collector let this chain in with. Its times are this machine's,
// by the clock that runs on where others are set, until it is read from the file.
type credential struct {
	Address      string          `json:"address"` // of the collector that issued it
	Chain        string          `json:"chain"`
	Certificates [][]byte        `json:"certificates"` // DER, leaf first
	Key          []byte          `json:"key"`          // PKCS #8
	Asked        time.Time       `json:"asked"`        // when the collector was asked for it
	RenewAfter   time.Time       `json:"renew_after"`
	NotAfter     time.Time       `json:"not_after"`
	AckKeys      json.RawMessage `json:"ack_keys"` // JWKS
}

// usable tells whether it lets this chain in at a time.
func (c *credential) usable(address, chain string, now time.Time) bool {
	return c != nil && c.Address == address && c.Chain == chain && now.Before(c.NotAfter)
}

// due tells whether it is to be renewed: its time has come, or the clock was set back
// since, and what it says means nothing.
func (c *credential) due(now time.Time) bool {
	return now.After(c.RenewAfter) || now.Before(c.Asked)
}

// since sets when it ends, of which a collector has told how long it lasts.
func (c *credential) since(asked time.Time, issued *api.Credential) {
	c.Asked = asked
	c.RenewAfter = asked.Add(time.Duration(issued.GetRenewInMs()) * time.Millisecond)
	c.NotAfter = asked.Add(time.Duration(issued.GetExpiresInMs()) * time.Millisecond)
}

func (c *credential) certificate() (tls.Certificate, error) {
	key, err := x509.ParsePKCS8PrivateKey(c.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the collector credential's key: %w", err)
	}
	return tls.Certificate{Certificate: c.Certificates, PrivateKey: key}, nil
}

// ensure has a credential that is usable: the one that is kept, renewed when its
// time has come, or a new one.
func (s *Shipper) ensure(ctx context.Context, source Source) error {
	now, chain := time.Now(), source.Head().Chain
	if s.credential == nil {
		kept, err := readCredential(s.Dir)
		if err != nil {
			return err
		}
		s.credential = kept
	}
	switch {
	case !s.credential.usable(s.Address, chain, now):
		return s.enrol(ctx, source)
	case s.credential.due(now):
		err := s.renew(ctx, chain)
		// Revoked, or issued by a collector that was made anew; or it may have expired long ago.
		if status.Code(err) == codes.Unauthenticated || err != nil && now.Before(s.credential.Asked) {
			return s.enrol(ctx, source)
		}
		return err
	}
	return nil
}

// enrol asks for a first certificate with the enrolment token.
func (s *Shipper) enrol(ctx context.Context, source Source) error {
	ctx, cancel := context.WithTimeout(ctx, s.answerWithin)
	defer cancel()
	token, err := s.Token()
	if err != nil {
		return fmt.Errorf("collector.token_file: %w", err)
	}
	request, key, err := newRequest()
	if err != nil {
		return err
	}
	pub, proof := s.Chain.ProveEnrolment(request)
	chain := source.Head().Chain
	keys, err := source.KeyRecords()
	if err != nil {
		return err
	}
	conn, err := s.connect(nil)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	asked := time.Now()
	issued, err := api.NewEnrolmentClient(conn).Enroll(ctx, &api.EnrollRequest{
		Token: strings.TrimSpace(string(token)), ChainId: chain, Agent: s.Agent, PublicKey: pub, Proof: proof, CertificateRequest: request, KeyRecords: keys,
	}, grpc.WaitForReady(false))
	if err != nil {
		return fmt.Errorf("enrol at the collector: %w", err)
	}
	if err := s.keep(issued, asked, chain, key); err != nil {
		return err
	}
	s.Log.Info("enrolled at the collector", "address", s.Address, "chain", chain)
	return nil
}

// renew replaces the certificate while it still lets in.
func (s *Shipper) renew(ctx context.Context, chain string) error {
	ctx, cancel := context.WithTimeout(ctx, s.answerWithin)
	defer cancel()
	request, key, err := newRequest()
	if err != nil {
		return err
	}
	conn, err := s.connect(s.credential)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	asked := time.Now()
	issued, err := api.NewEnrolmentClient(conn).Renew(ctx, &api.RenewRequest{CertificateRequest: request})
	if err != nil {
		return fmt.Errorf("renew the collector's client certificate: %w", err)
	}
	return s.keep(issued, asked, chain, key)
}

func newRequest() (request []byte, key *ecdsa.PrivateKey, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, fmt.Errorf("make a key for the collector: %w", err)
	}
	if request, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key); err != nil {
		return nil, nil, fmt.Errorf("make a certificate request: %w", err)
	}
	return request, key, nil
}

// keep makes a credential durable before it is used, since the collector has it
// on record.
func (s *Shipper) keep(issued *api.Credential, asked time.Time, chain string, key *ecdsa.PrivateKey) error {
	if issued.GetTenant() != s.Tenant {
		return fmt.Errorf("the enrolment token is for tenant %q, and this sidecar writes receipts of %q: set tenant, or use another token", issued.GetTenant(), s.Tenant)
	}
	if _, err := receipts.ParseJWKS(issued.GetAckKeys()); err != nil {
		return fmt.Errorf("the collector's ack keys: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("keep the collector credential: %w", err)
	}
	c := &credential{
		Address: s.Address, Chain: chain, Certificates: issued.GetCertificates(), Key: der, AckKeys: issued.GetAckKeys(),
	}
	c.since(asked, issued)
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("keep the collector credential: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(s.Dir, credentialName), text, 0o600); err != nil {
		return fmt.Errorf("keep the collector credential: %w", err)
	}
	s.credential = c
	return nil
}

// readCredential reads what keep wrote; nil where there is none.
func readCredential(dir string) (*credential, error) {
	path := filepath.Join(dir, credentialName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the collector credential: %w", err)
	}
	c := new(credential)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("read %s: %w; remove it to enrol again", path, err)
	}
	return c, nil
}
