package sidecar

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long files must be still before they are read: an editor and a
	// mounted ConfigMap both change several names for one change.
	settle = 200 * time.Millisecond
	// pollEvery catches what no event told of, as on network file systems.
	pollEvery = time.Minute
)

// watch reloads whenever one of the files changes, until ctx ends. It watches
// their directories: a ConfigMap is replaced by renaming ..data there, and an
// editor replaces a file by renaming another over it.
func (s *Sidecar) watch(ctx context.Context, files []string) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching files: %w", err)
	}
	defer func() { _ = w.Close() }()
	for _, dir := range directories(files) {
		if err := w.Add(dir); err != nil {
			return fmt.Errorf("watching %s: %w", dir, err)
		}
	}
	due := time.NewTimer(0) // what has changed before the watch began
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			due.Reset(settle)
		case err := <-w.Errors: // an overflow: look for oneself
			s.log.Warn("watching files", "error", err)
			due.Reset(settle)
		case <-due.C:
			_, _ = s.Reload(ctx) // it has said what is wrong
			due.Reset(pollEvery)
		}
	}
}

// directories are the files themselves, where they are directories, and what they
// are in.
func directories(files []string) []string {
	seen := make(map[string]bool)
	var dirs []string
	for _, f := range files {
		for _, dir := range []string{filepath.Dir(f), f} {
			if info, err := os.Stat(dir); err == nil && info.IsDir() && !seen[dir] {
				seen[dir] = true
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}
