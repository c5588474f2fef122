package doctor

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
)

// certificates are those of a PEM file.
func certificates(file string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue // clients skip what they cannot read, too
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return certs, nil
}

// ReadCA reads the certificate of an interception CA, the first of a PEM file.
func ReadCA(file string) (*x509.Certificate, error) {
	certs, err := certificates(file)
	if err != nil {
		return nil, fmt.Errorf("read the interception CA: %w", err)
	}
	if !certs[0].IsCA {
		return nil, fmt.Errorf("read the interception CA: the first certificate of %s is no CA's", file)
	}
	return certs[0], nil
}

// holds reports whether a PEM file has cert.
func holds(file string, cert *x509.Certificate) (bool, error) {
	certs, err := certificates(file)
	for _, c := range certs {
		if bytes.Equal(c.Raw, cert.Raw) {
			return true, nil
		}
	}
	return false, err
}

// systemBundles are where Linux distributions keep the system's roots, for
// clients that cannot be asked what they were built with.
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
}

// inFiles judges by the file that a client reads, the first of those named.
func inFiles(cert *x509.Certificate, named ...string) answer {
	for _, file := range append(named, systemBundles...) {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil && len(named) > 0 && file != named[0] {
			continue
		}
		ok, err := holds(file, cert)
		switch {
		case err != nil:
			return answer{failed: err.Error()}
		case ok:
			return answer{trusted: true, detail: "in " + file}
		}
		return answer{detail: "not in " + file}
	}
	return answer{detail: "no bundle of roots was found"}
}

// untrusted tells a certificate that is not trusted from other failures, by
// what OpenSSL, GnuTLS, Go, Node, Java and Deno write.
func untrusted(message string) bool {
	m := strings.ToLower(message)
	for _, sign := range []string{
		"certificate", "cert_", "_cert", "pkix path", "unknownissuer", "self-signed", "self signed", "unknown authority",
	} {
		if strings.Contains(m, sign) {
			return true
		}
	}
	return false
}
