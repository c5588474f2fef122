package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const (
	defaultDialTimeout = 5 * time.Second
	minDialShare       = time.Second
)

// Dialer connects to pins, and to nothing else. The zero value is ready.
type Dialer struct {
	// Timeout bounds Dial over all addresses of a pin. Default 5 s: an upstream
	// that takes longer to accept is down.
	Timeout time.Duration

	// KeepAlive configures TCP keep-alive. The default is Go's (first probe
	// after 15 s, then every 15 s, 9 times), so that a tunnel notices a peer
	// that is gone.
	KeepAlive net.KeepAliveConfig
}

// Dial connects to the first address of p that answers at port, in order, each
// with its share of the time. Right before each SYN the socket's address is
// compared with the pin and judged by g again, and after the connection is made
// so is its remote address.
//
// The error is a *DeniedError, if g refuses an address (no other is tried then),
// or a *DialError about the last address.
func (d *Dialer) Dial(ctx context.Context, p *Pin, port uint16, g *Guard) (*net.TCPConn, error) {
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = defaultDialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	err := error(&DialError{Host: p.Host, Port: port, Err: errors.New("the pin holds no address")})
	for i, a := range p.Addrs {
		var conn *net.TCPConn
		conn, err = d.dialAddr(ctx, netip.AddrPortFrom(a, port), len(p.Addrs)-i, p, g)
		if err == nil {
			return conn, nil
		}
		if _, denied := errors.AsType[*DeniedError](err); denied || ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// dialAddr connects to one address. left counts the addresses that still share
// the time of ctx, this one included.
func (d *Dialer) dialAddr(ctx context.Context, ap netip.AddrPort, left int, p *Pin, g *Guard) (*net.TCPConn, error) {
	ctx, cancel := share(ctx, left, minDialShare)
	defer cancel()
	network := "tcp4"
	if ap.Addr().Is6() {
		network = "tcp6"
	}
	keepAlive := d.KeepAlive
	if keepAlive == (net.KeepAliveConfig{}) {
		keepAlive.Enable = true
	}
	nd := net.Dialer{
		FallbackDelay:   -1,
		KeepAliveConfig: keepAlive,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return recheck(network, address, ap, p, g)
		},
	}
	conn, err := nd.DialContext(ctx, network, ap.String())
	if err != nil {
		return nil, dialError(err, p.Host, ap)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok || remote(conn) != ap {
		_ = conn.Close()
		return nil, dialError(fmt.Errorf("connected to %s, which is not the pinned address", conn.RemoteAddr()), p.Host, ap)
	}
	return tcp, nil
}

// recheck runs between the making of a socket and its connect, on the address
// that the kernel will be given.
func recheck(network, address string, want netip.AddrPort, p *Pin, g *Guard) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("refusing network %q: only tcp4 and tcp6 are dialled", network)
	}
	got, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("reading the socket's address: %w", err)
	}
	if got != want {
		return fmt.Errorf("refusing %s, which is not the pinned address", got)
	}
	if v := g.endpoint(got, p.holes); !v.Allowed {
		return &DeniedError{Host: p.Host, Addr: got.Addr(), Verdict: v}
	}
	return nil
}

func remote(conn net.Conn) netip.AddrPort {
	a, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func dialError(err error, host string, ap netip.AddrPort) error {
	if denied, ok := errors.AsType[*DeniedError](err); ok {
		return denied
	}
	return &DialError{
		Host:    host,
		Port:    ap.Port(),
		Addr:    ap.Addr(),
		Timeout: isTimeout(err),
		Refused: errors.Is(err, syscall.ECONNREFUSED),
		Err:     err,
	}
}

// isTimeout reports whether err is a time-out of a context or of the network.
func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// share derives a context with one part in n of the time that ctx has left, but
// no less than least.
func share(ctx context.Context, n int, least time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, max(time.Until(deadline)/time.Duration(n), least))
}
