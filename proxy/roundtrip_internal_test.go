package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/signet-egress/signet/internal/testkit"
	"github.com/signet-egress/signet/resolver"
)

// Content is sent although its upstream has agreed on h2 before, and does not any
// more: net/http has given the request up then, and its content with it.
func TestContentAfterAnotherProtocol(t *testing.T) {
	ca := testkit.CA(t)
	leaf, err := ca.Leaf("up.test")
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12, NextProtos: []string{protocolHTTP1}},
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.ServeTLS(l, "", "")
	}()
	ups := NewUpstreams(UpstreamConfig{Roots: ca.Pool(), Dial: func(ctx context.Context, _ *resolver.Pin, _ uint16, _ *resolver.Guard) (*net.TCPConn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	}})
	t.Cleanup(func() {
		ups.Close()
		_ = s.Close()
		<-served
	})
	route := &Route{Host: "up.test", TLS: true, Pin: new(resolver.Pin)}
	ups.pool(route).h2 = true
	req, err := http.NewRequestWithContext(WithRoute(t.Context(), route), http.MethodPost, "https://up.test/", &closable{r: strings.NewReader("hello")})
	must(t, err)
	req.ContentLength = int64(len("hello"))
	resp, err := ups.RoundTrip(req)
	must(t, err)
	said, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	if string(said) != "hello" {
		t.Errorf("the upstream read %q", said)
	}
}

// closable gives nothing once it is closed, as a server's request body.
type closable struct {
	r      io.Reader
	closed bool
}

func (c *closable) Read(p []byte) (int, error) {
	if c.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	return c.r.Read(p)
}

func (c *closable) Close() error {
	c.closed = true
	return nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
