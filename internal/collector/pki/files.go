package pki

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/signet-egress/signet/internal/keyfile"
)

// FileCertificate is a server certificate in PEM files, which are read again when
// whoever renews it has replaced them.
type FileCertificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	read    [2]time.Time // when the files were written that current is from, or that failed
}

// OpenCertificate reads a certificate with its chain, and its key, which nobody
// but its owner and its group may be able to read.
func OpenCertificate(certFile, keyFile string, log *slog.Logger) (*FileCertificate, error) {
	c := &FileCertificate{certFile: certFile, keyFile: keyFile, log: log}
	written, err := c.written()
	if err != nil {
		return nil, err
	}
	c.read = written
	c.current, err = c.load()
	return c, err
}

// Get is for tls.Config.GetCertificate. While new files cannot be used, the
// certificate before stays.
func (c *FileCertificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	written, err := c.written()
	if err != nil || written == c.read {
		return c.current, nil // one that is being replaced may be missing for a moment
	}
	c.read = written
	next, err := c.load()
	if err != nil {
		c.log.Warn("the new certificate cannot be used, and the one before stays", "error", err)
		return c.current, nil
	}
	c.current = next
	return c.current, nil
}

func (c *FileCertificate) written() (at [2]time.Time, err error) {
	for i, path := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			return at, fmt.Errorf("certificate: %w", err)
		}
		at[i] = info.ModTime()
	}
	return at, nil
}

func (c *FileCertificate) load() (*tls.Certificate, error) {
	certPEM, err := os.ReadFile(c.certFile)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	keyPEM, err := keyfile.Read(c.keyFile, keyfile.OwnerAndGroup)
	if err != nil {
		return nil, fmt.Errorf("certificate's key: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	return &pair, nil
}
