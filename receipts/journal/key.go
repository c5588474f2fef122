package journal

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

const keyName = "key.pem"

// maxKeyFile bounds what is read of a key file; an Ed25519 key takes 119 bytes.
const maxKeyFile = 64 << 10

// LoadKey reads the signing key, PKCS#8 in PEM, from file. With file empty it is
// key.pem in dir, which is made (0600) when dir has no journal yet. It is an
// error when a journal has lost its key, and when others than the owner may
// read the file.
func LoadKey(dir, file string) (key ed25519.PrivateKey, created bool, err error) {
	path := file
	if path == "" {
		path = filepath.Join(dir, keyName)
	}
	key, err = readKey(path)
	if !errors.Is(err, fs.ErrNotExist) || file != "" {
		return key, false, err
	}
	switch _, statErr := os.Stat(filepath.Join(dir, fileName)); {
	case statErr == nil:
		return nil, false, fmt.Errorf("signing key %s is missing beside an existing journal: restore it from a backup, "+
			"or move the data directory away to begin a new chain", path)
	case !errors.Is(statErr, fs.ErrNotExist):
		return nil, false, fmt.Errorf("signing key: %w", statErr)
	}
	key, err = makeKey(path)
	return key, err == nil, err
}

func readKey(path string) (ed25519.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("signing key %s: not a regular file", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("signing key %s: mode %#o lets others than its owner use it: chmod 600 it, "+
			"and replace the key if somebody may have read it", path, perm)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w: want an Ed25519 private key, PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` makes it", path, err)
	}
	return key, nil
}

func parseKey(data []byte) (ed25519.PrivateKey, error) {
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

func makeKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := durable.CreateFile(path, data, 0o600); err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	return key, nil
}
