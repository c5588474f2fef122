package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// Addresses that belong to nobody: TEST-NET-1 (RFC 5737) and 2001:db8::/32
// (RFC 3849). What is sent there reaches no host.
const (
	nobody4 = "192.0.2.1"
	nobody6 = "2001:db8::1"
)

const closeWays = "HTTP_PROXY alone is cooperation, not containment: load egress rules that let only Signet's user out (docs/kubernetes.md)"

// waysOut tries to go around the proxy.
func (e *examination) waysOut(ctx context.Context) []Check {
	var checks []Check
	ruled := map[bool]bool{} // by family, true for IPv4: what refuses UDP here refuses TCP here
	for _, a := range []string{nobody4, nobody6} {
		at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), port) }
		dns, quic := e.udp(ctx, at(53)), e.udp(ctx, at(443))
		ruled[at(443).Addr().Is4()] = quic.Status == Green
		checks = append(checks, e.tcp(ctx, at(443), e.Timeout/5, quic.Status == Green), dns, quic)
	}
	for _, a := range e.Direct {
		checks = append(checks, e.tcp(ctx, a, e.Timeout, ruled[a.Addr().Is4()]))
		switch a.Port() {
		case 53:
			checks = append(checks, e.dns(ctx, a))
		case 443:
			checks = append(checks, e.udp(ctx, a))
		}
	}
	return checks
}

// tcp tries to connect. A reset says nothing of who sent it: a rule here, the
// host there or something between; ruled says that it was here.
func (e *examination) tcp(ctx context.Context, to netip.AddrPort, limit time.Duration, ruled bool) Check {
	c := Check{Group: "ways out", Name: "TCP to " + to.String(), Status: Green}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
	switch why, local := refusal(err); {
	case err == nil:
		_ = conn.Close() // nothing was sent
		c.Status, c.Detail, c.Fix = Red, "connected, around Signet", closeWays
	case local:
		c.Detail = "closed: " + why
	case errors.Is(err, syscall.ECONNREFUSED) && ruled:
		c.Detail = "closed: a rule refuses it"
	case errors.Is(err, syscall.ECONNREFUSED):
		c.Status, c.Detail, c.Fix = Yellow, "refused, but maybe not here", closeWays
	default:
		c.Status, c.Detail, c.Fix = Yellow, fmt.Sprintf("not refused here; no answer within %s", limit), closeWays
	}
	return c
}

// udp sends one empty packet, which is out when the kernel has taken it.
func (e *examination) udp(ctx context.Context, to netip.AddrPort) Check {
	c := Check{Group: "ways out", Name: "UDP to " + to.String(), Status: Green}
	conn, err := new(net.Dialer).DialContext(ctx, "udp", to.String())
	if err == nil {
		_, err = conn.Write(nil)
		_ = conn.Close() // the packet is gone
	}
	switch why, local := refusal(err); {
	case local:
		c.Detail = "closed: " + why
	case err != nil:
		c.Detail = "closed: " + short(err)
	default:
		c.Status, c.Detail, c.Fix = Yellow, "not refused here: an empty packet was sent", closeWays
	}
	return c
}

// dns asks the server at to for the root's name servers.
func (e *examination) dns(ctx context.Context, to netip.AddrPort) Check {
	c := Check{Group: "ways out", Name: "DNS at " + to.String(), Status: Green, Detail: "no answer"}
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", to.String())
	}}
	_, err := r.LookupNS(ctx, ".")
	var failed *net.DNSError
	switch {
	case err == nil, errors.As(err, &failed) && (failed.IsNotFound || strings.Contains(failed.Err, "server misbehaving")):
		c.Status, c.Detail = Red, "a server answered: data can leave in the names that are asked for"
		c.Fix = closeWays
	case errors.As(err, &failed) && failed.IsTimeout:
		c.Detail = "no answer in time"
	}
	return c
}

// refusal says why the kernel itself let a packet not out.
func refusal(err error) (why string, local bool) {
	for _, known := range []struct {
		is  error
		why string
	}{
		{syscall.EPERM, "a rule refuses it"},
		{syscall.EACCES, "a rule refuses it"},
		{os.ErrPermission, "a rule refuses it"},
		{syscall.EHOSTUNREACH, "no route, or a rule refuses it"},
		{syscall.ENETUNREACH, "no route"},
		{syscall.EADDRNOTAVAIL, "no address of that family"},
		{syscall.EAFNOSUPPORT, "no such family"},
	} {
		if errors.Is(err, known.is) {
			return known.why, true
		}
	}
	return "", false
}

// names says who answers this host's lookups. They are not asked: a query goes
// out. Signet resolves what it carries by itself.
func (e *examination) names() []Check {
	c := Check{Group: "names", Name: "DNS", Status: Green}
	servers, err := nameservers(e.Resolv)
	if err != nil {
		c.Detail = "no resolver is configured here, and clients of a proxy need none"
		return []Check{c}
	}
	var beyond []string
	for _, s := range servers {
		if !loopback(s) {
			beyond = append(beyond, s)
		}
	}
	c.Detail = "no resolver beyond loopback is configured"
	if len(beyond) > 0 {
		c.Status = Yellow
		c.Detail = fmt.Sprintf("lookups would go to %s (not tried): data can leave in names, and clients of a proxy need none", strings.Join(beyond, ", "))
		c.Fix = "see whether it answers: --direct " + net.JoinHostPort(beyond[0], "53")
	}
	return []Check{c}
}
