package durable

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func wantFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || string(data) != content {
		t.Errorf("%s holds %q, %v; want %q", path, data, err, content)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != mode {
		t.Errorf("%s has mode %v, %v; want %v", path, info.Mode(), err, mode)
	}
}

// wantAlone makes sure that no temporary file stays.
func wantAlone(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("the directory holds %q, want %q", got, names)
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"first", "", "second"} {
		if err := WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, content, 0o640)
	}
	wantAlone(t, dir, "file")
	if err := WriteFile(filepath.Join(dir, "absent", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if err := WriteFile(dir, nil, 0o600); err == nil {
		t.Error("a directory was overwritten")
	}
	wantAlone(t, dir, "file")
}

func TestCreateFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	var (
		created atomic.Int64
		wg      sync.WaitGroup
	)
	for range 8 {
		wg.Go(func() {
			switch err := CreateFile(path, []byte("secret"), 0o600); {
			case err == nil:
				created.Add(1)
			case !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path):
				t.Errorf("CreateFile: %v", err)
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 {
		t.Errorf("%d created it", created.Load())
	}
	wantFile(t, path, "secret", 0o600)
	wantAlone(t, dir, "file")
}

func TestPublish(t *testing.T) {
	dir := t.TempDir()
	tmp, path := filepath.Join(dir, "tmp"), filepath.Join(dir, "file")
	if err := os.WriteFile(tmp, []byte("whole"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Publish(tmp, path); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "whole", 0o600)
	wantAlone(t, dir, "file")
	if err := os.WriteFile(tmp, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Publish(tmp, path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("publish over a file: %v", err)
	}
	wantFile(t, path, "whole", 0o600)
}

// TestAllocate fills a hole and lengthens the file, and keeps what is there.
func TestAllocate(t *testing.T) {
	for name, allocate := range map[string]func(*os.File, int64, int64) error{
		"system": Allocate,
		"zeros":  func(f *os.File, off, size int64) error { return zeros(f, off+size) },
	} {
		t.Run(name, func(t *testing.T) {
			const size = 3<<20 + 5
			f, err := os.Create(filepath.Join(t.TempDir(), "file"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString("kept"); err != nil {
				t.Fatal(err)
			}
			if err := allocate(f, 0, size); err != nil {
				t.Fatal(err)
			}
			if err := allocate(f, 0, 1); err != nil { // shorter: nothing to do
				t.Fatal(err)
			}
			data, err := os.ReadFile(f.Name())
			if err != nil || len(data) != size || !bytes.HasPrefix(data, []byte("kept\x00")) || bytes.Trim(data[4:], "\x00") != nil {
				t.Errorf("%d bytes that begin with %q, %v", len(data), data[:8], err)
			}
			if n, ok := blocks(t, f); ok && n < size {
				t.Errorf("%d bytes have blocks, want %d", n, size)
			}
		})
	}
	readOnly, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	if err := Allocate(readOnly, 0, 4096); err == nil {
		t.Error("a directory was given blocks")
	}
}

func TestTryLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	first, second, third := open(), open(), open()
	for _, f := range []*os.File{first, second} {
		if err := TryLock(f, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := TryLock(third, true); !errors.Is(err, ErrLocked) {
		t.Errorf("exclusive beside shared: %v", err)
	}
	for _, f := range []*os.File{first, second} {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := TryLock(third, true); err != nil {
		t.Errorf("after the others closed: %v", err)
	}
	if err := TryLock(open(), false); !errors.Is(err, ErrLocked) {
		t.Errorf("shared beside exclusive: %v", err)
	}
}
