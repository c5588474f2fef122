package sidecar

import (
	"context"
	"errors"
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
	// patience is how long that is waited for, since a directory may hold other files
	// that are never still.
	patience = 2 * time.Second
	// pollEvery catches what no event told of, as on network file systems.
	pollEvery = time.Minute
)

// watch reloads whenever one of the files changes, until ctx ends. It watches
// their directories: a ConfigMap is replaced by renaming ..data there, and an
// editor replaces a file by renaming another over it. Where the machine has no
// watches left, looking every pollEvery has to do.
func (s *Sidecar) watch(ctx context.Context, files []string) {
	var events <-chan fsnotify.Event
	var errs <-chan error
	if w, err := newWatcher(directories(files)); err != nil {
		s.log.Warn("files cannot be watched; they are looked at from time to time", "every", pollEvery.String(), "error", err)
	} else {
		defer func() { _ = w.Close() }()
		events, errs = w.Events, w.Errors
	}
	var since time.Time     // of the first event that no reload has followed
	due := time.NewTimer(0) // what has changed before the watch began
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			if since.IsZero() {
				since = time.Now()
			}
			due.Reset(min(settle, time.Until(since.Add(patience))))
		case err := <-errs: // an overflow: look for oneself
			s.log.Warn("watching files", "error", err)
			due.Reset(settle)
		case <-due.C:
			since = time.Time{}
			_, _ = s.Reload(ctx) // it has said what is wrong
			due.Reset(pollEvery)
		}
	}
}

func newWatcher(dirs []string) (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		if err := w.Add(dir); err != nil {
			return nil, errors.Join(fmt.Errorf("watching %s: %w", dir, err), w.Close())
		}
	}
	return w, nil
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
