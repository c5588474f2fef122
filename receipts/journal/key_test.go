package journal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	key, created, err := LoadKey(dir, "")
	if err != nil || !created {
		t.Fatalf("the first start: created %t, %v", created, err)
	}
	path := filepath.Join(dir, keyName)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, created, err := LoadKey(dir, "")
	if err != nil || created || !again.Key.Equal(key.Key) {
		t.Errorf("the second start: created %t, same key %t, %v", created, again.Key.Equal(key.Key), err)
	}
	named, created, err := LoadKey(t.TempDir(), path)
	if err != nil || created || !named.Key.Equal(key.Key) {
		t.Errorf("a named file: created %t, same key %t, %v", created, named.Key.Equal(key.Key), err)
	}

	o := options(dir)
	o.Key = key.Key
	closeJournal(t, open(t, o))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadKey(dir, ""); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "backup") {
		t.Errorf("a journal without its key: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a new key was made beside a journal")
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	good, _, err := LoadKey(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	ed := pemOf(t, good.Key)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		data []byte
		mode fs.FileMode
		want string
	}{
		{"group may read", ed, 0o640, "chmod 600"},
		{"all may read", ed, 0o604, "chmod 600"},
		{"no PEM", []byte("secret"), 0o600, "PRIVATE KEY"},
		{"empty", nil, 0o600, "PRIVATE KEY"},
		{"another kind of key", pemOf(t, ec), 0o600, "Ed25519"},
		{"bad content", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}), 0o600, "Ed25519"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(path, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, _, err := LoadKey(t.TempDir(), path)
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an error that names the file and %q", err, tt.want)
			}
		})
	}
	if _, _, err := LoadKey(t.TempDir(), filepath.Join(t.TempDir(), "absent.pem")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a named file that is absent: %v", err)
	}
	if _, _, err := LoadKey(t.TempDir(), t.TempDir()); err == nil {
		t.Error("a directory was taken for a key")
	}
}

func pemOf(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
