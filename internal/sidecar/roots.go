package sidecar

import (
	"crypto/x509"
	"fmt"
	"os"
)

// loadRoots is what upstream certificates are verified against: the system's
// roots and, added to them, those of the named PEM files.
func loadRoots(extra []string) (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("loading the system's roots: %w", err)
	}
	for _, file := range extra {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading tls.extra_roots: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.extra_roots: %s holds no certificate in PEM form", file)
		}
	}
	return roots, nil
}
