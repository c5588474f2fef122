// Package keyfile reads and makes files that hold a private key.
package keyfile

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/signet-egress/signet/internal/durable"
)

// Readers are who may be able to read a key.
type Readers fs.FileMode

// The group is let in for keys that operators bring: a mounted Kubernetes secret
// is readable by the group of a process that is not root.
const (
	Owner         Readers = 0o700
	OwnerAndGroup Readers = 0o740
)

// maxKey bounds what is read of a file; an Ed25519 key takes 119 bytes.
const maxKey = 64 << 10

// Read reads a regular file that nobody but readers can use. The error is
// fs.ErrNotExist where there is none.
func Read(path string, readers Readers) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	if perm := info.Mode().Perm(); perm&^fs.FileMode(readers) != 0 {
		return nil, fmt.Errorf("%s: mode %#o lets others than its owner use it: chmod 600 it, and replace the key if somebody may have read it", path, perm)
	}
	return io.ReadAll(io.LimitReader(f, maxKey))
}

// Ed25519 reads a signing key, PKCS#8 in PEM (RFC 8410). The error is
// fs.ErrNotExist where there is none.
func Ed25519(path string, readers Readers) (ed25519.PrivateKey, error) {
	data, err := Read(path, readers)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	key, err := parseEd25519(data)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w: want an Ed25519 private key, PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` makes it", path, err)
	}
	return key, nil
}

func parseEd25519(data []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New(`no "PRIVATE KEY" block`)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a %T", parsed)
	}
	return key, nil
}

// MakeEd25519 makes a signing key and its file (0600), which must not be there,
// with the directories above it. It is durable when it returns.
func MakeEd25519(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	if err := Create(path, key); err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	return key, nil
}

// Create writes a private key into a file (0600), which must not be there: PKCS#8
// in PEM. It is durable when it returns.
func Create(path string, key any) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key: %w", err)
	}
	return durable.CreateFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}
