package pki_test

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/keyfile"
)

// files is a certificate and its key on disk, as whoever renews it writes them.
type files struct {
	t         *testing.T
	authority *pki.Authority
	cert, key string
	at        time.Time // of the newest files
}

func newFiles(t *testing.T) *files {
	t.Helper()
	dir := t.TempDir()
	authority, err := pki.LoadAuthority(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &files{t: t, authority: authority, cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key"), at: time.Now().Add(-time.Hour)}
}

// renew replaces the files by those of another certificate, and returns its serial
// number.
func (f *files) renew() string {
	f.t.Helper()
	next, err := f.authority.Server([]string{"collector.example"})
	if err != nil {
		f.t.Fatal(err)
	}
	_ = os.Remove(f.key)
	if err := keyfile.Create(f.key, next.PrivateKey); err != nil {
		f.t.Fatal(err)
	}
	f.write(f.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: next.Certificate[0]}))
	return next.Leaf.SerialNumber.String()
}

// write makes each version of a file newer than the one before, whatever the
// clock of the file system is worth.
func (f *files) write(path string, data []byte) {
	f.t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.at = f.at.Add(time.Second)
	for _, path := range []string{f.cert, f.key} {
		if err := os.Chtimes(path, f.at, f.at); err != nil {
			f.t.Fatal(err)
		}
	}
}

func serial(t *testing.T, c *pki.FileCertificate) string {
	t.Helper()
	cert, err := c.Get(new(tls.ClientHelloInfo))
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf.SerialNumber.String()
}

func TestFileCertificate(t *testing.T) {
	f := newFiles(t)
	if _, err := pki.OpenCertificate(f.cert, f.key, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), f.cert) {
		t.Errorf("files that are not there: %v", err)
	}
	first := f.renew()
	var log strings.Builder
	c, err := pki.OpenCertificate(f.cert, f.key, slog.New(slog.NewTextHandler(io.MultiWriter(&log, t.Output()), nil)))
	if err != nil {
		t.Fatal(err)
	}
	if got := serial(t, c); got != first {
		t.Errorf("serial %s, want %s", got, first)
	}
	second := f.renew()
	if got := serial(t, c); got != second {
		t.Errorf("serial %s after a renewal, want %s", got, second)
	}
	f.write(f.cert, []byte("half a certificate"))
	for range 3 {
		if got := serial(t, c); got != second {
			t.Errorf("serial %s with files that cannot be used, want %s", got, second)
		}
	}
	if n := strings.Count(log.String(), "cannot be used"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if err := os.Remove(f.cert); err != nil {
		t.Fatal(err)
	}
	if got := serial(t, c); got != second {
		t.Errorf("serial %s without files, want %s", got, second)
	}
	third := f.renew()
	if got := serial(t, c); got != third {
		t.Errorf("serial %s after another renewal, want %s", got, third)
	}
}

func TestFileCertificateRefuses(t *testing.T) {
	f := newFiles(t)
	f.renew()
	if err := os.Chmod(f.key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.OpenCertificate(f.cert, f.key, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that all may read: %v", err)
	}
	f.renew()
	f.write(f.cert, f.authority.PEM())
	if _, err := pki.OpenCertificate(f.cert, f.key, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), f.key) {
		t.Errorf("a key of another certificate: %v", err)
	}
}
