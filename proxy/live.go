package proxy

import (
	"io"
	"sync"
)

// live knows the exchanges under way and the connections that only a cut ends:
// hijacked ones, which an http.Server no longer tracks.
type live struct {
	mu    sync.Mutex
	n     int
	conns map[io.Closer]struct{}
	ended bool // cut was called: no connection stays open
	empty chan struct{}
}

func (l *live) enter() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
}

func (l *live) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n--
	if l.n == 0 && l.empty != nil {
		close(l.empty)
		l.empty = nil
	}
}

// hold registers a connection until the returned function is called.
func (l *live) hold(c io.Closer) (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		_ = c.Close()
		return func() {}
	}
	if l.conns == nil {
		l.conns = make(map[io.Closer]struct{})
	}
	l.conns[c] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, c)
	}
}

// drained is closed once no exchange is under way.
func (l *live) drained() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if l.empty == nil {
		l.empty = make(chan struct{})
	}
	return l.empty
}

func (l *live) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for c := range l.conns {
		_ = c.Close()
	}
}
