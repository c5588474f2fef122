package ingest

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/signet-egress/signet/internal/api"
)

// Credentials are TLS whose connections Ship can cut. gRPC has no other way to be
// rid of a client that reads nothing: a stream that has ended keeps what was to be
// sent on it until the client takes it.
func Credentials(config *tls.Config) credentials.TransportCredentials {
	return transport{credentials.NewTLS(config)}
}

type transport struct {
	credentials.TransportCredentials
}

// ServerHandshake implements credentials.TransportCredentials.
func (t transport) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := t.TransportCredentials.ServerHandshake(raw)
	if known, ok := info.(credentials.TLSInfo); ok {
		info = connection{TLSInfo: known, raw: raw}
	}
	return conn, info, err
}

// Clone implements credentials.TransportCredentials.
func (t transport) Clone() credentials.TransportCredentials {
	return transport{t.TransportCredentials.Clone()}
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
