package pki_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/collector/pki"
)

// A CA is the same at the next start, and is not used once others could have read
// its key or the key is gone.
func TestLoadAuthority(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	made, err := pki.LoadAuthority(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	again, err := pki.LoadAuthority(certFile, keyFile)
	if err != nil || !bytes.Equal(again.PEM(), made.PEM()) {
		t.Errorf("the next start has another CA, %v", err)
	}
	if err := os.Chmod(keyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.LoadAuthority(certFile, keyFile); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that all may read: %v", err)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.LoadAuthority(certFile, keyFile); err == nil || !strings.Contains(err.Error(), keyFile) {
		t.Errorf("a CA that has lost its key: %v", err)
	}
}
