package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Tripwire is a TCP listener that counts who connects and hangs up at once. It
// stands where nothing may ever dial.
type Tripwire struct {
	listener net.Listener
	done     chan struct{} // closed when the accept loop has ended

	mu    sync.Mutex
	cond  *sync.Cond
	count int
	seen  map[netip.AddrPort]bool // Count's own connections, once accepted
	over  bool
}

// StartTripwire listens at address, "127.0.0.1:0" when it is empty.
func StartTripwire(address string) (*Tripwire, error) {
	listener, err := listen(address)
	if err != nil {
		return nil, fmt.Errorf("start a tripwire: %w", err)
	}
	w := &Tripwire{listener: listener, done: make(chan struct{}), seen: map[netip.AddrPort]bool{}}
	w.cond = sync.NewCond(&w.mu)
	go w.serve()
	return w, nil
}

func (w *Tripwire) serve() {
	defer close(w.done)
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			w.mu.Lock()
			w.over = true
			w.cond.Broadcast()
			w.mu.Unlock()
			return
		}
		from := addrPort(conn.RemoteAddr())
		_ = conn.Close()
		w.mu.Lock()
		w.count++
		w.seen[from] = true
		w.cond.Broadcast()
		w.mu.Unlock()
	}
}

// Addr is where it listens.
func (w *Tripwire) Addr() netip.AddrPort { return addrPort(w.listener.Addr()) }

// Count is how many connections were made so far. The kernel completes
// connections before they are accepted, so Count makes one of its own and waits
// for that to come through the queue: whatever came before it is counted.
func (w *Tripwire) Count(ctx context.Context) (int, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", w.listener.Addr().String())
	if err != nil {
		return 0, fmt.Errorf("probe the tripwire: %w", err)
	}
	defer func() { _ = conn.Close() }()
	own := addrPort(conn.LocalAddr())

	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.seen[own] {
		if w.over {
			return 0, errors.New("probe the tripwire: it was closed")
		}
		w.cond.Wait()
	}
	delete(w.seen, own)
	w.count--
	return w.count, nil
}

// Close stops listening and waits for the accept loop.
func (w *Tripwire) Close() {
	_ = w.listener.Close()
	<-w.done
}

// listen takes a free port of 127.0.0.1 when no address is given.
func listen(address string) (net.Listener, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	var config net.ListenConfig
	return config.Listen(context.Background(), "tcp", address)
}

func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return unmap(a.AddrPort())
	case *net.UDPAddr:
		return unmap(a.AddrPort())
	}
	return netip.AddrPort{}
}

func unmap(ap netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()) }
