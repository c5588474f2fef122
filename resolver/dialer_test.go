package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// listen returns a listener on address and port 0, with its port.
func listen(t *testing.T, address string) (*net.TCPListener, uint16) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", address+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.(*net.TCPListener), netip.MustParseAddrPort(l.Addr().String()).Port()
}

func pinOf(addrs ...string) *Pin {
	p := &Pin{Host: host}
	for _, a := range addrs {
		p.Addrs = append(p.Addrs, netip.MustParseAddr(a))
	}
	return p
}

func TestDialFallsBackInOrder(t *testing.T) {
	_, port := listen(t, "127.0.0.3")
	g := newGuard("127.0.0.0/8")
	conn, err := new(Dialer).Dial(t.Context(), pinOf("127.0.0.2", "127.0.0.3", "127.0.0.4"), port, g)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := remote(conn); got != netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), port) {
		t.Errorf("connected to %s", got)
	}
}

func TestDialErrors(t *testing.T) {
	l, closed := listen(t, "127.0.0.1")
	_ = l.Close()
	_, open := listen(t, "127.0.0.1")
	g := newGuard("127.0.0.0/8")
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	for name, c := range map[string]struct {
		ctx     context.Context
		pin     *Pin
		port    uint16
		refused bool
		timeout bool
		addr    string
	}{
		"refused":       {ctx: t.Context(), pin: pinOf("127.0.0.2", "127.0.0.1"), port: closed, refused: true, addr: "127.0.0.1"},
		"time-out":      {ctx: expired, pin: pinOf("127.0.0.1", "127.0.0.2"), port: open, timeout: true, addr: "127.0.0.1"},
		"caller left":   {ctx: gone, pin: pinOf("127.0.0.1"), port: open, addr: "127.0.0.1"},
		"empty pin":     {ctx: t.Context(), pin: pinOf(), port: open},
		"mapped in pin": {ctx: t.Context(), pin: pinOf("::ffff:127.0.0.1"), port: open, addr: "::ffff:127.0.0.1"},
	} {
		conn, err := new(Dialer).Dial(c.ctx, c.pin, c.port, g)
		if err == nil {
			_ = conn.Close()
		}
		de, ok := errors.AsType[*DialError](err)
		if !ok {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		if de.Host != host || de.Port != c.port || de.Refused != c.refused || de.Timeout != c.timeout || c.addr != "" && de.Addr.String() != c.addr {
			t.Errorf("%s: got %+v", name, de)
		}
	}
}

// TestDeniedAddressGetsNoSYN dials a pin that the guard of the moment refuses,
// then shows that the listener's first connection is another one.
func TestDeniedAddressGetsNoSYN(t *testing.T) {
	l, port := listen(t, "127.0.0.1")
	open := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for name, c := range map[string]struct {
		guard *Guard
		class string
	}{
		"no hole":  {NewGuard(nil, nil, nil), ClassLoopback},
		"own port": {NewGuard(open, []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)}, nil), ClassOwnPort},
	} {
		_, err := new(Dialer).Dial(t.Context(), pinOf("127.0.0.1", "127.0.0.1"), port, c.guard)
		denied, ok := errors.AsType[*DeniedError](err)
		if !ok || denied.Verdict.Class != c.class || denied.Host != host {
			t.Errorf("%s: got %v", name, err)
		}
	}
	conn, err := new(Dialer).Dial(t.Context(), pinOf("127.0.0.1"), port, NewGuard(open, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if first.RemoteAddr().String() != conn.LocalAddr().String() {
		t.Errorf("the listener's first connection came from %s, not from %s", first.RemoteAddr(), conn.LocalAddr())
	}
}

func TestRecheck(t *testing.T) {
	g := newGuard("127.0.0.0/8")
	want := netip.MustParseAddrPort("127.0.0.1:443")
	for _, c := range []struct {
		network, address string
		want             netip.AddrPort
		ok               bool
	}{
		{"tcp4", "127.0.0.1:443", want, true},
		{"tcp", "127.0.0.1:443", want, false},
		{"udp4", "127.0.0.1:443", want, false},
		{"unix", "/run/socket", want, false},
		{"tcp4", "127.0.0.2:443", want, false},
		{"tcp4", "127.0.0.1:444", want, false},
		{"tcp6", "[::ffff:127.0.0.1]:443", want, false},
		{"tcp4", "localhost:443", want, false},
		{"tcp4", "10.0.0.1:443", netip.MustParseAddrPort("10.0.0.1:443"), false},
		{"tcp6", "[fe80::1%eth0]:443", netip.MustParseAddrPort("[fe80::1%eth0]:443"), false},
	} {
		if err := recheck(c.network, c.address, c.want, &Pin{Host: host}, g); (err == nil) != c.ok {
			t.Errorf("%s %s: %v", c.network, c.address, err)
		}
	}
}

func TestShare(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, c := range []struct {
		n        int
		least    time.Duration
		min, max time.Duration
	}{
		{1, 0, 59 * time.Minute, time.Hour},
		{2, 0, 29 * time.Minute, 30 * time.Minute},
		{3600, 10 * time.Minute, 9 * time.Minute, 10 * time.Minute},
		{2, 2 * time.Hour, 59 * time.Minute, time.Hour},
	} {
		sub, cancel := share(ctx, c.n, c.least)
		deadline, _ := sub.Deadline()
		if left := time.Until(deadline); left < c.min || left > c.max {
			t.Errorf("one in %d, at least %s: %s", c.n, c.least, left)
		}
		cancel()
	}
}
