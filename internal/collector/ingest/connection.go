package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/pki"
)

const (
	// MaxConnections is how many connections a chain has. Its sidecar needs one; the
	// others are those that were left behind by a network that broke.
	MaxConnections = 4
	// strangerStays is how long a connection lasts whose client has no certificate:
	// time to enrol.
	strangerStays = time.Minute
	// strangerSends is how many bytes such a client may send: some requests to enrol, of
	// which one with a token of a cluster has 3 KiB. A batch may be much larger, and
	// what gRPC has read of a message it keeps until the message ends.
	strangerSends = 64 << 10
)

// Credentials are TLS whose connections are few for each chain, and can be cut.
// gRPC has no other way to be rid of a client that reads nothing: a stream that has
// ended keeps what was to be sent on it until the client takes it.
func Credentials(config *tls.Config) credentials.TransportCredentials {
	return transport{credentials.NewTLS(config), &connections{of: make(map[string][]*counted)}}
}

type transport struct {
	credentials.TransportCredentials
	open *connections
}

// ServerHandshake implements credentials.TransportCredentials.
func (t transport) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := t.TransportCredentials.ServerHandshake(raw)
	known, ok := info.(credentials.TLSInfo)
	if err != nil || !ok {
		return conn, info, err
	}
	return t.open.add(conn, raw, &known), connection{TLSInfo: known, raw: raw}, nil
}

// Clone implements credentials.TransportCredentials.
func (t transport) Clone() credentials.TransportCredentials {
	return transport{t.TransportCredentials.Clone(), t.open}
}

// connections are those that are open, by whose they are, the oldest first.
type connections struct {
	mu sync.Mutex
	of map[string][]*counted
}

// counted is a connection that is known until it is closed.
type counted struct {
	net.Conn
	raw  net.Conn
	gone func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.gone()
	return c.Conn.Close()
}

// add takes a connection in, and cuts the oldest of a chain that has too many.
func (c *connections) add(conn, raw net.Conn, info *credentials.TLSInfo) net.Conn {
	if len(info.State.VerifiedChains) == 0 {
		timer := time.AfterFunc(strangerStays, func() { _ = raw.Close() })
		return &counted{Conn: &bounded{conn, strangerSends}, raw: raw, gone: func() { timer.Stop() }}
	}
	whose := ""
	if who, err := pki.IdentityOf(info.State.VerifiedChains[0][0]); err == nil { // else Authenticate refuses it
		whose = who.Tenant + "/" + who.Chain
	}
	added := &counted{Conn: conn, raw: raw}
	added.gone = func() { c.remove(whose, added) }
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[whose] = append(c.of[whose], added)
	if all := c.of[whose]; len(all) > MaxConnections {
		_ = all[0].raw.Close() // it may have gone by itself
		c.of[whose] = slices.Delete(all, 0, 1)
	}
	return added
}

func (c *connections) remove(whose string, gone *counted) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[whose] = slices.DeleteFunc(c.of[whose], func(other *counted) bool { return other == gone })
	if len(c.of[whose]) == 0 {
		delete(c.of, whose)
	}
}

// bounded is a connection that takes no more than so many bytes.
type bounded struct {
	net.Conn
	left int
}

// errSentTooMuch ends a connection.
var errSentTooMuch = errors.New("the client has no certificate, and sent more than it takes to get one")

// Read implements net.Conn. One goroutine reads from a connection.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errSentTooMuch
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// connection is what is known of the one that a call came by.
type connection struct {
	credentials.TLSInfo
	raw net.Conn
}

func connectionOf(ctx context.Context) (connection, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return connection{}, false
	}
	c, ok := p.AuthInfo.(connection)
	return c, ok
}

// send sends an answer. Where the sidecar leaves so much unread that there is no
// room for it, and for so long, its connection is cut.
func (c *chain) send(stream api.Ingest_ShipServer, response *api.ShipResponse) error {
	unread := time.AfterFunc(c.server.Limits.Unread, func() {
		c.server.Observer.Unread()
		c.server.Log.Warn("cut a connection whose sidecar does not read the answers", "tenant", c.who.Tenant, "chain", c.who.Chain)
		if connection, ok := connectionOf(stream.Context()); ok {
			_ = connection.raw.Close() // it may have gone by itself
		}
	})
	defer unread.Stop()
	return stream.Send(response)
}
