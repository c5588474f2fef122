// Package proxy carries an agent's traffic: listeners, the exchange pipeline,
// tunnels, interception and denials.
//
// The pipeline (pipeline.go) is an http.Handler that forwards through an
// http.RoundTripper and knows nothing else of either end; Server and Upstreams
// are today's ends, on net/http.
package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/resolver"
)

// Snapshot is what one exchange is decided by. It is immutable; an exchange
// holds the one that it began with to its end.
type Snapshot struct {
	Policy    *policy.Policy
	Version   string          // of the policy, as in receipts
	Guard     *resolver.Guard // the policy's address holes and what never opens
	Agents    Agents          // who may use the proxy
	Contracts Contracts       // what bodies must be; nil: nothing
}

// Journal makes intents and receipts durable.
type Journal interface {
	// Begin returns once the intent, named by r.ReceiptID, is durable. The open
	// intent named by dissolve, if any, is removed in the same commit.
	Begin(r *receipts.Receipt, dissolve string) error
	// Finish closes r's intent, or just appends r where there is none.
	Finish(r *receipts.Receipt) Commit
	// Err is nil while intents can begin.
	Err() error
}

// Commit is a receipt on its way to the disk.
type Commit interface {
	Wait() error // nil: the receipt is durable
}

// Pinner resolves and classifies a host into the only addresses to dial.
type Pinner interface {
	Pin(ctx context.Context, host string, port uint16, g *resolver.Guard) (*resolver.Pin, error)
}

// Minter makes the TLS configuration that an intercepted host is served with.
type Minter interface {
	ServerConfig(ctx context.Context, host string, alpn []string) (*tls.Config, error)
}

// Upstream is the far side: a RoundTripper that reads its Route from the
// request's context, and can connect ahead of the first request.
type Upstream interface {
	http.RoundTripper
	// Connect returns once a connection for the route is open and, for TLS,
	// verified. The route's Conn is filled in.
	Connect(ctx context.Context, r *Route) error
	// Dial opens a raw connection for an opaque tunnel, until release is called.
	Dial(ctx context.Context, r *Route) (c *net.TCPConn, release func(), err error)
}

// Observer hears of each exchange once, when it is settled. Calls are concurrent.
type Observer interface {
	Settled(s *Settled)
	TunnelOpened(mode string) (closed func()) // opaque | intercept | websocket
	Handshake(err error)                      // with an agent, for interception
	Limited(limit string)                     // requests | concurrent | tunnels | request_bytes | response_bytes | tunnel_lifetime
	Panicked()
}

// Settled is an exchange as metrics see it: values from closed sets, and numbers.
type Settled struct {
	Receipt   *receipts.Receipt // nil where none could be written
	Reason    policy.Reason
	Pattern   string // of the rule that matched the host; "" none
	Method    string // a known method, or OTHER
	Kind      string // http | connect | inner
	Status    int    // of the upstream's answer; 0 none
	BytesUp   int64  // of a tunnel or an upgraded connection
	BytesDown int64
	Total     time.Duration
	Carried   time.Duration // from the intent to the end of the answer; 0 if not carried
}

// Timeouts bound every state that a peer can keep Signet in.
type Timeouts struct {
	RequestHeader time.Duration // whole request head, and the agent's TLS handshake; 10 s: Slowloris
	ClientHello   time.Duration // first bytes in a tunnel; 5 s: nothing legitimate is slower on a pod's loopback
	Idle          time.Duration // no byte either way on a stream or tunnel, or between requests; 15 min
	BodyStall     time.Duration // a request body that stands still; 60 s
	// HalfClose is how long a tunnel's agent may take to close its side after the
	// upstream has; 1 s. TLS has told it to by then. Later the half-close is passed
	// on: whoever waits for it would wait for ever.
	HalfClose time.Duration
	// Farewell is how long an exchange goes on when the agent has closed its side; 5 s.
	// It may still read, and one that has left for good looks the same.
	Farewell time.Duration
	// Recheck is the shortest time between two looks at a standing connection's
	// name, whatever its TTL; 10 s: one tunnel must not become a query a second.
	Recheck time.Duration
}

// withDefaults fills in what is zero.
func (t Timeouts) withDefaults() Timeouts {
	t.RequestHeader = cmp.Or(t.RequestHeader, 10*time.Second)
	t.ClientHello = cmp.Or(t.ClientHello, 5*time.Second)
	t.Idle = cmp.Or(t.Idle, 15*time.Minute)
	t.BodyStall = cmp.Or(t.BodyStall, time.Minute)
	t.Recheck = cmp.Or(t.Recheck, 10*time.Second)
	t.HalfClose = cmp.Or(t.HalfClose, time.Second)
	t.Farewell = cmp.Or(t.Farewell, 5*time.Second)
	return t
}

// Config is what a Proxy is made of. Everything but Observer, Logger, Timeouts
// and Now is required.
type Config struct {
	Tenant, Agent string
	Via           string           // pseudonym in Via fields (RFC 9110, section 7.6.3); unique per sidecar, so that a loop shows
	Snapshot      func() *Snapshot // the current one; called once an exchange
	Journal       Journal
	Pins          Pinner
	Upstream      Upstream
	Minter        Minter
	Timeouts      Timeouts
	Observer      Observer
	Logger        *slog.Logger
	Now           func() time.Time
}

// Proxy is the pipeline. It serves absolute-form requests and CONNECT, and by
// itself the requests inside intercepted tunnels.
type Proxy struct {
	Config
	sessions sessions
	inner    *innerServer
	live     live
	cutting  atomic.Bool // a stop has reached its limit: it is Signet that leaves
	standing standing
	buffers  buffers
	denials  coalescer
	limits   limiter
}

// New returns a Proxy; the Server that it is given to ends it.
func New(c Config) (*Proxy, error) {
	if c.Snapshot == nil || c.Journal == nil || c.Pins == nil || c.Upstream == nil || c.Minter == nil {
		return nil, errors.New("proxy: incomplete configuration")
	}
	c.Timeouts = c.Timeouts.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observer == nil {
		c.Observer = blind{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Proxy{Config: c, denials: coalescer{journal: c.Journal, log: c.Logger, now: c.Now, windows: make(map[string]*window)}}
	p.standing.minRecheck = c.Timeouts.Recheck
	p.inner = newInnerServer(p)
	return p, nil
}

// drain ends intercepted connections as they fall idle and waits until every
// exchange and tunnel has settled, or ctx ends.
func (p *Proxy) drain(ctx context.Context) error {
	err := p.inner.shutdown(ctx)
	select {
	case <-p.live.drained():
		return err
	case <-ctx.Done():
		return fmt.Errorf("waiting for exchanges to end: %w", context.Cause(ctx))
	}
}

// end cuts what is left and returns once its receipts are written.
func (p *Proxy) end() {
	p.inner.close()
	p.standing.cut()
	p.live.cut()
	<-p.live.drained()
	p.denials.flush()
}

type blind struct{}

func (blind) Settled(*Settled)           {}
func (blind) TunnelOpened(string) func() { return func() {} }
func (blind) Handshake(error)            {}
func (blind) Limited(string)             {}
func (blind) Panicked()                  {}
