package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/internal/keyfile"
)

// How long certificates are valid. The root is in the configuration of every
// sidecar, so it is replaced by a plan; a sidecar renews its own long before.
const (
	rootLifetime   = 10 * 365 * 24 * time.Hour
	serverLifetime = 90 * 24 * time.Hour
	// backdate lets a client whose clock is behind use what was just issued.
	backdate = 5 * time.Minute
)

// Authority is the collector's own CA: it issues the collector's server
// certificate, where none is configured, and the sidecars' client certificates.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// LoadAuthority reads a CA from PEM files, and makes them (P-256, the key 0600)
// where neither is there.
func LoadAuthority(certFile, keyFile string) (*Authority, error) {
	certPEM, err := os.ReadFile(certFile)
	if errors.Is(err, fs.ErrNotExist) {
		return makeAuthority(certFile, keyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("collector CA: %w", err)
	}
	keyPEM, err := keyfile.Read(keyFile, keyfile.OwnerAndGroup)
	if err != nil {
		return nil, fmt.Errorf("collector CA: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("collector CA %s: %w", certFile, err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("collector CA %s: not a certificate authority", certFile)
	}
	return &Authority{cert: pair.Leaf, key: key}, nil
}

// makeAuthority writes the key first: a certificate without its key would look
// like an authority that has lost it.
func makeAuthority(certFile, keyFile string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the collector CA: %w", err)
	}
	template, err := newTemplate("Signet collector CA", time.Now(), rootLifetime)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if err := keyfile.Create(keyFile, key); err != nil {
		return nil, fmt.Errorf("make the collector CA: %w", err)
	}
	a := &Authority{cert: cert, key: key}
	if err := durable.CreateFile(certFile, a.PEM(), 0o644); err != nil {
		return nil, fmt.Errorf("make the collector CA: %w", err)
	}
	return a, nil
}

// PEM is the authority's certificate, for the configuration of sidecars.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Pool trusts this authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Server is a new server certificate for names, which may be IP addresses.
func (a *Authority) Server(names []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the server's key: %w", err)
	}
	template, err := newTemplate("Signet collector", time.Now(), serverLifetime)
	if err != nil {
		return tls.Certificate{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if address, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, address.AsSlice())
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	cert, err := sign(template, a.cert, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// ServerCertificate is a server certificate that is replaced before it expires.
type ServerCertificate struct {
	authority *Authority
	names     []string

	mu      sync.Mutex
	current *tls.Certificate
}

// NewServerCertificate returns one for names, which may be IP addresses.
func NewServerCertificate(a *Authority, names []string) *ServerCertificate {
	return &ServerCertificate{authority: a, names: names}
}

// Get is for tls.Config.GetCertificate.
func (s *ServerCertificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || time.Until(s.current.Leaf.NotAfter) < serverLifetime/3 {
		cert, err := s.authority.Server(s.names)
		if err != nil {
			return nil, err
		}
		s.current = &cert
	}
	return s.current, nil
}

// Client issues the certificate of a sidecar. The serial number is the
// certificate's own, whatever who says.
func (a *Authority) Client(who Identity, key crypto.PublicKey, lifetime time.Duration) (*x509.Certificate, error) {
	template, err := newTemplate("", time.Now(), lifetime)
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	template.URIs = []*url.URL{who.URI()}
	return sign(template, a.cert, key, a.key)
}

func newTemplate(name string, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(lifetime),
	}, nil
}

func sign(template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}
