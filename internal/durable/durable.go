// Package durable makes files that a crash leaves whole or absent, and gives
// files disk blocks before they are needed.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// WriteFile makes path hold data, with mode, replacing what was there. When it
// returns nil the content and the name are on disk; a crash before leaves the
// old file.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return write(path, mode, bytesOf(data), func(tmp string) error { return os.Rename(tmp, path) })
}

// CreateFile is WriteFile for a path that must not exist: the error is then
// fs.ErrExist, whoever else creates it at the same time.
func CreateFile(path string, data []byte, mode fs.FileMode) error {
	return CreateFrom(path, mode, bytesOf(data))
}

// CreateFrom is CreateFile with the content that fill writes. Until it is whole
// it has a name that TemporaryOf matches, which a crash may leave behind.
func CreateFrom(path string, mode fs.FileMode, fill func(io.Writer) error) error {
	return write(path, mode, fill, func(tmp string) error { return os.Link(tmp, path) })
}

// TemporaryOf tells whether name, in path's directory, is what an interrupted
// write of path has left.
func TemporaryOf(path, name string) bool {
	return strings.HasPrefix(name, "."+filepath.Base(path)+".")
}

func bytesOf(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

func write(path string, mode fs.FileMode, fill func(io.Writer) error, publish func(tmp string) error) (err error) {
	dir, name := filepath.Split(path)
	f, err := os.CreateTemp(filepath.Clean(dir), "."+name+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if rmErr := os.Remove(f.Name()); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}()
	err = fill(f)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := publish(f.Name()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// Publish gives the finished, synced file tmp the name path, which must not
// exist (fs.ErrExist), and takes the name tmp away. Both names are in one
// directory, which is on disk when Publish returns nil.
func Publish(tmp, path string) error {
	if err := os.Link(tmp, path); err != nil {
		return fmt.Errorf("publish %s: %w", path, err)
	}
	if err := os.Remove(tmp); err != nil {
		return fmt.Errorf("publish %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// Remove takes the name path away, for good when it returns nil.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
