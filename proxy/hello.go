package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/signet-egress/signet/internal/policy"
)

// maxHello is the longest ClientHello that is read, record headers included.
const maxHello = 16 << 10

// echExtension is encrypted_client_hello (RFC 9849); GREASE and real ones look alike.
const echExtension = 0xfe0d

// accessDenied is the fatal TLS alert access_denied (RFC 8446, section 6) as a
// record; the version is the one that a ClientHello's record has.
var accessDenied = []byte{21, 3, 1, 0, 2, 2, 49}

// hello is what a ClientHello says in the clear.
type hello struct {
	raw []byte // every byte read, to be replayed
	sni string
	ech bool
}

var (
	errHelloRead    = errors.New("the ClientHello was read") // stops crypto/tls there
	errHelloTooLong = errors.New("the ClientHello is longer than 16384 bytes")
)

// readHello reads one ClientHello, over as many records and segments as it takes.
// crypto/tls parses it; nothing is written to c.
func readHello(ctx context.Context, c net.Conn, limit time.Duration) (hello, error) {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return hello{}, err
	}
	rec := &helloRecorder{Conn: c}
	var h hello
	err := tls.Server(rec, &tls.Config{
		MinVersion: tls.VersionTLS12, // never negotiated: the hello is all that is read
		GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			h.sni = info.ServerName
			h.ech = slices.Contains(info.Extensions, echExtension)
			return nil, errHelloRead
		},
	}).HandshakeContext(ctx)
	h.raw = rec.raw.Bytes()
	if !errors.Is(err, errHelloRead) {
		return h, err
	}
	return h, c.SetReadDeadline(time.Time{})
}

// helloRecorder keeps what crypto/tls reads, and swallows its alerts.
type helloRecorder struct {
	net.Conn
	raw bytes.Buffer
}

func (r *helloRecorder) Read(b []byte) (int, error) {
	room := maxHello - r.raw.Len()
	if room <= 0 {
		return 0, errHelloTooLong
	}
	n, err := r.Conn.Read(b[:min(len(b), room)])
	r.raw.Write(b[:n])
	return n, err
}

func (*helloRecorder) Write(b []byte) (int, error) { return len(b), nil }
func (*helloRecorder) Close() error                { return nil }

// checkHello reads the ClientHello that a tunnel starts with, holds its outer SNI
// against the CONNECT, and puts it back for whoever reads next.
func (x *exchange) checkHello(ctx context.Context, agent *agentConn) (hello, error) {
	waiting := &tunnelEnd{agent: agent, hello: true}
	x.end = waiting
	h, err := readHello(ctx, agent, x.p.Timeouts.ClientHello)
	x.receipt.Detail.TLS.SNI, x.receipt.Detail.TLS.ECH = h.sni, h.ech
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed):
		return h, fail(policy.ClientAborted, "", err)
	case err != nil:
		return h, deny(policy.NotTLS, "", err)
	}
	want := x.target.Host
	if x.target.Addr.IsValid() {
		want = "" // RFC 6066, section 3: literals are not permitted in SNI
	}
	if !strings.EqualFold(h.sni, want) {
		return h, deny(policy.SNIMismatch, "", errors.New("the ClientHello asks for another host than the CONNECT"))
	}
	if h.ech && x.decision.DenyECH {
		return h, deny(policy.SNIMismatch, "", errors.New("the ClientHello has encrypted_client_hello, and the rule denies it"))
	}
	waiting.hello = false
	agent.unread(h.raw)
	return h, nil
}
