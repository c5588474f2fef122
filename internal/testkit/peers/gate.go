package peers

import (
	"context"
	"net/http"
	"strconv"
	"sync"
)

// Gate holds requests at a point of their handling until a test opens it.
type Gate struct {
	enter   sync.Once
	release sync.Once
	entered chan struct{}
	opened  chan struct{}
}

func newGate() *Gate { return &Gate{entered: make(chan struct{}), opened: make(chan struct{})} }

// Entered is closed once a request has come to the gate.
func (g *Gate) Entered() <-chan struct{} { return g.entered }

// Open lets all go on that wait or come later.
func (g *Gate) Open() { g.release.Do(func() { close(g.opened) }) }

func (g *Gate) wait(ctx context.Context) error {
	g.enter.Do(func() { close(g.entered) })
	select {
	case <-g.opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Gate is the gate of that name, made on first use by either side.
func (u *Upstream) Gate(name string) *Gate {
	u.mu.Lock()
	defer u.mu.Unlock()
	gate := u.gates[name]
	if gate == nil {
		gate = newGate()
		u.gates[name] = gate
	}
	return gate
}

// Stream is the lock-step of one event stream: event n+1 is not written before
// the client has shown that it has event n.
type Stream struct {
	mu    sync.Mutex
	acked int
	moved chan struct{} // closed and replaced at each ack
}

// Ack says that the client has event n, counted from 1, and all before it.
func (s *Stream) Ack(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > s.acked {
		s.acked = n
		close(s.moved)
		s.moved = make(chan struct{})
	}
}

// wait returns once event n is acknowledged.
func (s *Stream) wait(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		acked, moved := s.acked, s.moved
		s.mu.Unlock()
		if acked >= n {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stream is the event stream of that id, made on first use by either side.
func (u *Upstream) Stream(id string) *Stream {
	u.mu.Lock()
	defer u.mu.Unlock()
	stream := u.streams[id]
	if stream == nil {
		stream = &Stream{moved: make(chan struct{})}
		u.streams[id] = stream
	}
	return stream
}

// controlPaths are for clients in other processes; a Go test calls Ack and Open.
func (u *Upstream) controlPaths() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/sse/ack", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.FormValue("n"))
		if err != nil {
			http.Error(w, "n: the number of the event that the client has", http.StatusBadRequest)
			return
		}
		u.Stream(r.FormValue("id")).Ack(n)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/gate/open", func(w http.ResponseWriter, r *http.Request) {
		u.Gate(r.FormValue("name")).Open()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
