package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"time"
)

// CA is a private certificate authority, P-256 throughout.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes an authority that nobody trusts yet.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate the test CA's key: %w", err)
	}
	template, err := newTemplate("Signet test CA", time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign
	cert, err := certify(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &CA{cert: cert, key: key}, nil
}

// Pool trusts this authority and no other.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	return pool
}

// PEM is the authority's certificate.
func (c *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})
}

// Leaf is a server certificate for names, which may be IP addresses, valid now.
// A leaf for another name is how a test gets a wrong one.
func (c *CA) Leaf(names ...string) (tls.Certificate, error) {
	now := time.Now()
	return c.leaf(now.Add(-time.Hour), now.Add(12*time.Hour), names)
}

// ExpiredLeaf is a server certificate that was valid until an hour ago.
func (c *CA) ExpiredLeaf(names ...string) (tls.Certificate, error) {
	now := time.Now()
	return c.leaf(now.Add(-2*time.Hour), now.Add(-time.Hour), names)
}

func (c *CA) leaf(from, until time.Time, names []string) (tls.Certificate, error) {
	return issue(from, until, names, c.cert, c.key)
}

// SelfSigned is a server certificate that no authority vouches for.
func SelfSigned(names ...string) (tls.Certificate, error) {
	now := time.Now()
	return issue(now.Add(-time.Hour), now.Add(12*time.Hour), names, nil, nil)
}

// issue signs with the parent's key, or with the leaf's own when there is no
// parent.
func issue(from, until time.Time, names []string, parent *x509.Certificate, signer *ecdsa.PrivateKey) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("generate a leaf's key: %w", err)
	}
	template, err := newTemplate("Signet test leaf", from, until)
	if err != nil {
		return tls.Certificate{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if addr, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	if parent == nil {
		parent, signer = template, key
	}
	cert, err := certify(template, parent, key, signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

func newTemplate(name string, from, until time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    from,
		NotAfter:     until,
	}, nil
}

func certify(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %s: %w", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back the certificate for %s: %w", template.Subject.CommonName, err)
	}
	return cert, nil
}
