// Package durable makes files that a crash leaves whole or absent, and gives
// files disk blocks before they are needed.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile makes path hold data, with mode, replacing what was there. When it
// returns nil the content and the name are on disk; a crash before leaves the
// old file.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, func(tmp string) error { return os.Rename(tmp, path) })
}

// CreateFile is WriteFile for a path that must not exist: the error is then
// fs.ErrExist, whoever else creates it at the same time.
func CreateFile(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, func(tmp string) error { return os.Link(tmp, path) })
}

func write(path string, data []byte, mode fs.FileMode, publish func(tmp string) error) (err error) {
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
	_, err = f.Write(data)
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
