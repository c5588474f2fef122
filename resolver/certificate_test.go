package resolver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"
)

const dnsName = "dns.example"

var loopbackIPs = []net.IP{{127, 0, 0, 1}}

// testCA issues the certificates of test servers.
type testCA struct {
	t     testing.TB
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	roots *x509.CertPool
}

func newCA(t testing.TB) *testCA {
	t.Helper()
	ca := &testCA{t: t, key: newKey(t), roots: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca.cert = ca.sign(template, template, &ca.key.PublicKey)
	ca.roots.AddCert(ca.cert)
	return ca
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (ca *testCA) sign(template, parent *x509.Certificate, key *ecdsa.PublicKey) *x509.Certificate {
	ca.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return cert
}

// server configures a TLS server with a certificate for dnsName, and for what
// change makes of it.
func (ca *testCA) server(change func(*x509.Certificate)) *tls.Config {
	ca.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{dnsName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	key := newKey(ca.t)
	leaf := ca.sign(template, ca.cert, &key.PublicKey)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}}
}

// hostileServers are TLS servers that no upstream may talk to, each with part of
// the error.
func hostileServers(t *testing.T, ca *testCA) map[string]struct {
	config *tls.Config
	want   string
} {
	t.Helper()
	old := ca.server(nil)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	return map[string]struct {
		config *tls.Config
		want   string
	}{
		"of an unknown CA":  {newCA(t).server(nil), "signed by unknown authority"},
		"for another name":  {ca.server(func(c *x509.Certificate) { c.DNSNames = []string{"evil.example"} }), "not dns.example"},
		"for a subdomain":   {ca.server(func(c *x509.Certificate) { c.DNSNames = []string{"*.dns.example"} }), "not dns.example"},
		"for the IP only":   {ca.server(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, loopbackIPs }), "not valid for any names"},
		"common name alone": {ca.server(func(c *x509.Certificate) { c.DNSNames, c.Subject.CommonName = nil, dnsName }), "legacy Common Name"},
		"expired":           {ca.server(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "expired"},
		"not yet valid":     {ca.server(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), "not yet valid"},
		"for clients":       {ca.server(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "incompatible key usage"},
		"old TLS":           {old, "protocol version"},
	}
}
