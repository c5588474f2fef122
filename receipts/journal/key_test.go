package journal

import (
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
	if _, _, err := LoadKey(t.TempDir(), filepath.Join(t.TempDir(), "absent.pem")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a named file that is absent: %v", err)
	}
	dir := t.TempDir()
	if _, _, err := LoadKey(dir, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, keyName), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadKey(dir, ""); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that the group may read: %v", err)
	}
}
