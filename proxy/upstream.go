package proxy

import (
	"container/list"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/signet-egress/signet/resolver"
)

// Route is where a request goes. It travels in the request's context; the
// RoundTripper fills in Conn.
type Route struct {
	Tenant, Version string // of the policy
	Host            string // ASCII name or literal: the SNI, and what the certificate must be for
	Port            uint16
	TLS, HTTP1Only  bool
	Pin             *resolver.Pin
	Guard           *resolver.Guard
	Informational   func(status int, header http.Header) error // 1xx answers; an error ends the request; may be nil

	Conn Conn
}

// Conn is the connection that a request went over. Remote is not valid while
// there is none; TLS is nil without TLS.
type Conn struct {
	Remote netip.AddrPort
	TLS    *tls.ConnectionState
}

type routeKey struct{}

// WithRoute returns a context whose request goes to r.
func WithRoute(ctx context.Context, r *Route) context.Context {
	return context.WithValue(ctx, routeKey{}, r)
}

// UpstreamConfig is what Upstreams are made of. Zero durations and counts take
// the default named.
type UpstreamConfig struct {
	Dial           func(ctx context.Context, p *resolver.Pin, port uint16, g *resolver.Guard) (*net.TCPConn, error)
	Roots          *x509.CertPool // what upstream certificates are verified against; nil: the system's
	Handshake      time.Duration  // TLS handshake; 10 s
	ResponseHeader time.Duration  // request sent to header read; 10 min: models think before they speak
	IdleConn       time.Duration  // an unused connection; 90 s
	IdlePerHost    int            // unused connections to one destination; 256, above any one agent's parallelism
	Destinations   int            // connection pools kept, least recently used first out; 1024
	Observer       ConnObserver   // may be nil
}

// ConnObserver hears of each attempt to connect, and when the connection closes.
type ConnObserver interface {
	Connected(took time.Duration, err error) (closed func())
}

// Upstreams is the Upstream of real connections: a pool of them for each tenant,
// policy version, host, port, pin and TLS settings, so that no connection is ever
// used for another's request.
type Upstreams struct {
	c UpstreamConfig

	mu    sync.Mutex
	pools map[poolKey]*list.Element
	used  *list.List // of *pool, most recently used first
}

var _ Upstream = (*Upstreams)(nil)

type poolKey struct {
	tenant, version, host, pin string
	port                       uint16
	tls, http1                 bool
}

// NewUpstreams returns an empty set of pools.
func NewUpstreams(c UpstreamConfig) *Upstreams {
	defaultTo(&c.Handshake, 10*time.Second)
	defaultTo(&c.ResponseHeader, 10*time.Minute)
	defaultTo(&c.IdleConn, 90*time.Second)
	defaultTo(&c.IdlePerHost, 256)
	defaultTo(&c.Destinations, 1024)
	return &Upstreams{c: c, pools: make(map[poolKey]*list.Element), used: list.New()}
}

func defaultTo[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// RoundTrip implements http.RoundTripper. It follows no redirect and uses no
// proxy of its own.
func (u *Upstreams) RoundTrip(req *http.Request) (*http.Response, error) {
	r, ok := req.Context().Value(routeKey{}).(*Route)
	if !ok {
		return nil, errors.New("request without a route")
	}
	return u.pool(r).roundTrip(r, req)
}

// Connect implements Upstream. An open connection of the same pool, whose
// handshake was verified under the same settings, is good enough.
func (u *Upstreams) Connect(ctx context.Context, r *Route) error {
	p := u.pool(r)
	if c, ok := p.openConn(); ok {
		r.Conn = c
		return nil
	}
	c, err := p.dialTLS(ctx)
	if err != nil {
		return err
	}
	state := c.ConnectionState()
	r.Conn = Conn{Remote: addrPortOf(c), TLS: &state}
	p.keep(c)
	return nil
}

// Dial implements Upstream.
func (u *Upstreams) Dial(ctx context.Context, r *Route) (c *net.TCPConn, release func(), err error) {
	c, closed, err := u.c.dial(ctx, r.Pin, r.Port, r.Guard)
	if err != nil {
		return nil, nil, err
	}
	r.Conn.Remote = addrPortOf(c)
	return c, func() {
		_ = c.Close()
		closed()
	}, nil
}

// dial connects to the pin, observed.
func (c *UpstreamConfig) dial(ctx context.Context, pin *resolver.Pin, port uint16, g *resolver.Guard) (conn *net.TCPConn, closed func(), err error) {
	start := time.Now()
	conn, err = c.Dial(ctx, pin, port, g)
	if c.Observer == nil {
		return conn, func() {}, err
	}
	return conn, c.Observer.Connected(time.Since(start), err), err
}

// Retire drops the pools of other policy versions: their unused connections are
// closed now, those in use when they fall idle.
func (u *Upstreams) Retire(version string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key, e := range u.pools {
		if key.version != version {
			u.used.Remove(e)
			delete(u.pools, key)
			e.Value.(*pool).close()
		}
	}
}

// Close drops unused connections; those in use end with their exchanges.
func (u *Upstreams) Close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for e := u.used.Front(); e != nil; e = e.Next() {
		e.Value.(*pool).close()
	}
	clear(u.pools)
	u.used.Init()
}

func (u *Upstreams) pool(r *Route) *pool {
	key := poolKey{r.Tenant, r.Version, r.Host, r.Pin.Key(), r.Port, r.TLS, r.HTTP1Only}
	u.mu.Lock()
	defer u.mu.Unlock()
	if e, ok := u.pools[key]; ok {
		u.used.MoveToFront(e)
		p := e.Value.(*pool)
		p.renew(r)
		return p
	}
	p := newPool(key, r, &u.c)
	u.pools[key] = u.used.PushFront(p)
	if u.used.Len() > u.c.Destinations {
		oldest := u.used.Back()
		old := u.used.Remove(oldest).(*pool)
		delete(u.pools, old.key)
		old.close()
	}
	return p
}

func addrPortOf(c net.Conn) netip.AddrPort {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
