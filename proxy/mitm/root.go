package mitm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/signet-egress/signet/internal/durable"
	"github.com/signet-egress/signet/internal/keyfile"
)

const (
	// Clients read their roots once, at install or start, so the root must outlive
	// the installation; its key signs one intermediate a week.
	rootLife     = 10 * 365 * 24 * time.Hour
	organization = "Signet"

	rootCert, rootKey = "ca.pem", "ca.key"
)

// root is the CA that clients trust: ours, or the operator's. It is immutable.
type root struct {
	certFile string
	cert     *x509.Certificate
	key      crypto.Signer
	chain    [][]byte // cert and its issuers, in DER
	sent     [][]byte // what clients do not have: chain, for a CA that is not self-signed
}

// openRoot loads the operator's CA or ours, and makes ours where there is none.
func openRoot(o Options, now time.Time) (*root, error) {
	switch {
	case o.CertFile != "" && o.KeyFile != "":
		return loadRoot(o.CertFile, o.KeyFile, keyfile.OwnerAndGroup, now)
	case o.CertFile != o.KeyFile:
		return nil, errors.New("interception CA: the certificate's file and the key's file must be given together")
	}
	if err := makeRoot(o.Dir, now); err != nil {
		return nil, fmt.Errorf("make the interception CA in %s: %w", o.Dir, err)
	}
	return loadRoot(filepath.Join(o.Dir, rootCert), filepath.Join(o.Dir, rootKey), keyfile.Owner, now)
}

// makeRoot writes ca.key and ca.pem where there is no ca.pem. The key is durable
// first. A certificate without its key may be trusted by somebody, and is left
// for the operator to judge; a key without a certificate, from a start cut short,
// gets one again.
func makeRoot(dir string, now time.Time) error {
	certFile, keyFile := filepath.Join(dir, rootCert), filepath.Join(dir, rootKey)
	if _, err := os.Stat(certFile); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	key, err := keyFor(keyFile)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode the public key: %w", err)
	}
	template := &x509.Certificate{
		// Part of the key, so that two installations' roots can be told apart.
		Subject:               pkix.Name{Organization: []string{organization}, CommonName: "Signet interception root " + hex.EncodeToString(public[len(public)-4:])},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(rootLife),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            1,
	}
	cert, err := sign(template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return durable.CreateFile(certFile, pemOf(cert.Raw), 0o644)
}

// keyFor reads the root's key, or makes it.
func keyFor(file string) (crypto.Signer, error) {
	data, err := keyfile.Read(file, keyfile.Owner)
	if err == nil {
		return parseKey(file, data)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	return key, keyfile.Create(file, key)
}

func parseKey(file string, data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM key: restore it, or remove it to have a new CA made", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s holds no PKCS#8 key (%w): restore it, or remove it to have a new CA made", file, err)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T, want an ECDSA key: restore it, or remove it to have a new CA made", file, key)
	}
	return signer, nil
}

// loadRoot reads a CA and checks that it can issue intermediates.
func loadRoot(certFile, keyFile string, readers keyfile.Readers, now time.Time) (*root, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("read the interception CA: %w", err)
	}
	keyPEM, err := keyfile.Read(keyFile, readers)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("interception CA in %s lacks its key: %w: restore it from a backup, "+
			"or remove the certificate too and have every client trust the new ca.pem", certFile, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the interception CA's key: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("interception CA in %s with its key in %s: %w: want a PEM certificate and its own unencrypted PEM key; "+
			"restore the two from a backup, or remove both and have every client trust the new ca.pem", certFile, keyFile, err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("interception CA's key in %s: %T cannot sign", keyFile, pair.PrivateKey)
	}
	r := &root{certFile: certFile, cert: pair.Leaf, key: key, chain: pair.Certificate}
	if !bytes.Equal(r.cert.RawIssuer, r.cert.RawSubject) {
		r.sent = r.chain
	}
	return r, r.usable(now)
}

// usable says why no intermediate can be issued at this time, if so.
func (r *root) usable(now time.Time) error {
	c := r.cert
	var problem string
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		problem = "it is not a CA (basicConstraints); use a CA certificate"
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		problem = "its key usage does not include keyCertSign; use a CA certificate that may sign certificates"
	case !servesTLS(c):
		problem = "its extended key usage does not include serverAuth; use a CA whose certificates may serve TLS"
	case c.MaxPathLen == 0 && c.MaxPathLenZero:
		problem = "its path length 0 permits no intermediate below it; use a CA with path length 1 or more, or none"
	case now.Before(c.NotBefore):
		problem = fmt.Sprintf("it is not valid before %s; check this machine's clock", c.NotBefore.UTC().Format(time.RFC3339))
	case !now.Before(c.NotAfter):
		problem = fmt.Sprintf("it expired at %s; replace it, or remove it with its key to have a new one made, and have every client trust the new one", c.NotAfter.UTC().Format(time.RFC3339))
	default:
		return nil
	}
	return fmt.Errorf("interception CA in %s: %s", r.certFile, problem)
}

// servesTLS reports whether clients accept server certificates below c; a CA
// without extended key usages is not limited.
func servesTLS(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

func (r *root) pem() []byte { return pemOf(r.chain...) }

func pemOf(certs ...[]byte) []byte {
	var b bytes.Buffer
	for _, der := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return b.Bytes()
}
