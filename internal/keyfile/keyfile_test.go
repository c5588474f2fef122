package keyfile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/keyfile"
)

func TestMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "key.pem")
	if _, err := keyfile.Ed25519(path, keyfile.Owner); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is absent: %v", err)
	}
	key, err := keyfile.MakeEd25519(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, err := keyfile.Ed25519(path, keyfile.Owner)
	if err != nil || !again.Equal(key) {
		t.Errorf("read again: the same key %t, %v", again.Equal(key), err)
	}
	if _, err := keyfile.MakeEd25519(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made over one that is there: %v", err)
	}
}

func TestRefused(t *testing.T) {
	ed := contentOf(t, func(path string) error {
		_, err := keyfile.MakeEd25519(path)
		return err
	})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := contentOf(t, func(path string) error { return keyfile.Create(path, key) })
	for _, tt := range []struct {
		name    string
		data    []byte
		mode    fs.FileMode
		readers keyfile.Readers
		want    string // "": it is read
	}{
		{"the group may read", ed, 0o640, keyfile.Owner, "chmod 600"},
		{"the group may read, as it may", ed, 0o440, keyfile.OwnerAndGroup, ""},
		{"the group may write", ed, 0o660, keyfile.OwnerAndGroup, "chmod 600"},
		{"all may read", ed, 0o604, keyfile.Owner, "chmod 600"},
		{"all may read, and the group too", ed, 0o644, keyfile.OwnerAndGroup, "chmod 600"},
		{"no PEM", []byte("secret"), 0o600, keyfile.Owner, "PRIVATE KEY"},
		{"empty", nil, 0o600, keyfile.Owner, "PRIVATE KEY"},
		{"another kind of key", ec, 0o600, keyfile.Owner, "Ed25519"},
		{"bad content", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}), 0o600, keyfile.Owner, "Ed25519"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(path, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := keyfile.Ed25519(path, tt.readers)
			switch {
			case tt.want == "":
				if err != nil {
					t.Error(err)
				}
			case err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tt.want):
				t.Errorf("%v, want an error that names the file and %q", err, tt.want)
			}
		})
	}
	if _, err := keyfile.Read(t.TempDir(), keyfile.Owner); err == nil {
		t.Error("a directory was taken for a key")
	}
}

func contentOf(t *testing.T, write func(path string) error) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := write(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
