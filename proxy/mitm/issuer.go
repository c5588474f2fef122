package mitm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

const (
	// An intermediate lives seven days at most, and is replaced while a leaf made
	// from it can still live its whole life.
	intermediateLife = 7 * 24 * time.Hour
	intermediateLead = 2 * leafLife

	// A leaf lives a day at most and is replaced an hour early, which is longer
	// than any handshake.
	leafLife = 24 * time.Hour
	leafLead = time.Hour

	// Certificates start early, for clients whose clock is behind.
	clockSkew = 5 * time.Minute
)

// issuer is an intermediate. It is immutable, and its key is nowhere but here.
type issuer struct {
	generation uint64
	names      *constraints
	cert       *x509.Certificate
	key        crypto.Signer
	above      [][]byte  // what clients need beyond the leaf, in DER: the intermediate first
	replaceAt  time.Time // from then on a new one is due
}

// serves reports whether leaves may be minted from the issuer at this time.
func (is *issuer) serves(now time.Time) bool {
	return now.Before(is.replaceAt) && !now.Before(is.cert.NotBefore)
}

// issuers are the intermediates of one generation, each for some of its names:
// an agent reads all constraints of one in each handshake, and refuses a
// certificate of more than 256 KB.
type issuers struct {
	generation uint64
	names      *constraints // of all
	each       []*issuer    // at least one; all of one age
}

func (s *issuers) serves(now time.Time) bool { return s.each[0].serves(now) }

// permitting is the issuer that may speak for host, or nil.
func (s *issuers) permitting(host string) *issuer {
	for _, is := range s.each {
		if is.names.permit(host) {
			return is
		}
	}
	return nil
}

// issueAll makes the intermediates for names.
func (r *root) issueAll(names *constraints, generation uint64, now time.Time) (*issuers, error) {
	s := &issuers{generation: generation, names: names}
	for part := range names.parts() {
		is, err := r.issue(part, generation, now)
		if err != nil {
			return nil, err
		}
		s.each = append(s.each, is)
	}
	return s, nil
}

// issue makes an intermediate. It never outlives its root.
func (r *root) issue(names *constraints, generation uint64, now time.Time) (*issuer, error) {
	if err := r.usable(now); err != nil {
		return nil, err
	}
	is := &issuer{generation: generation, names: names}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{organization}, CommonName: fmt.Sprintf("Signet interception intermediate %d", generation)},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(intermediateLife - clockSkew),
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	is.replaceAt = template.NotAfter.Add(-intermediateLead)
	if r.cert.NotAfter.Before(template.NotAfter) {
		template.NotAfter = r.cert.NotAfter
		is.replaceAt = template.NotAfter // a new one would not live longer
	}
	names.apply(template)
	var err error
	if is.cert, is.key, err = certify(template, r.cert, r.key); err != nil {
		return nil, fmt.Errorf("issue the intermediate CA from %s: %w", r.certFile, err)
	}
	is.above = append([][]byte{is.cert.Raw}, r.sent...)
	return is, nil
}

// mint makes a leaf for host, which the issuer's names permit.
func (is *issuer) mint(host string, now time.Time) (*leaf, error) {
	template := &x509.Certificate{
		// No common name: clients that check constraints would read it as a host.
		Subject:               pkix.Name{Organization: []string{organization}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(leafLife - clockSkew),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if is.cert.NotAfter.Before(template.NotAfter) {
		template.NotAfter = is.cert.NotAfter
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		template.IPAddresses = []net.IP{addr.AsSlice()}
	} else {
		template.DNSNames = []string{host}
	}
	cert, key, err := certify(template, is.cert, is.key)
	if err != nil {
		return nil, err
	}
	return &leaf{
		host:       host,
		generation: is.generation,
		replaceAt:  cert.NotAfter.Add(-leafLead),
		certificate: tls.Certificate{
			Certificate: append([][]byte{cert.Raw}, is.above...),
			PrivateKey:  key,
			Leaf:        cert,
		},
	}, nil
}

// certify makes a P-256 key and a certificate for it, with a random 128-bit
// serial number. A nil parent makes it self-signed.
func certify(template, parent *x509.Certificate, signer crypto.Signer) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate a key: %w", err)
	}
	if parent == nil {
		parent, signer = template, key
	}
	cert, err := sign(template, parent, key.Public(), signer)
	return cert, key, err
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back a certificate: %w", err)
	}
	return cert, nil
}
