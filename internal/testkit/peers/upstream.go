package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// UpstreamOptions says what server an Upstream is. The zero value is plain HTTP.
type UpstreamOptions struct {
	// Address to listen at; "127.0.0.1:0" when empty.
	Address string
	// Certificate makes it an HTTPS server, TLS 1.2 or later.
	Certificate *tls.Certificate
	// Protocols are the ALPN names it takes, in its order of preference; h2 and
	// http/1.1 when empty. Without a certificate it is always HTTP/1.1.
	Protocols []string
	// Handler answers what Upstream's own paths do not; 404 when nil.
	Handler http.Handler
}

// Upstream is a net/http server with a path for every framing and failure that a
// proxy must carry; see paths.go for the list. Paths may go on after the name
// (/small/7), so that a test can tell requests apart by path. A second, plain
// listener lets clients in other processes drive its gates and event streams.
type Upstream struct {
	secure   bool
	listener net.Listener
	server   *http.Server
	control  *http.Server
	ctlAddr  netip.AddrPort
	serving  sync.WaitGroup

	connections atomic.Int64
	requests    atomic.Int64

	mu      sync.Mutex
	seen    []Request
	sni     map[string]int
	protos  map[string]int
	gates   map[string]*Gate
	streams map[string]*Stream
}

// Request is what an upstream saw of a request when its header had come.
type Request struct {
	ID         string // X-Test-Id
	Method     string
	Host       string
	RequestURI string
	Proto      string // "HTTP/1.1", "HTTP/2.0"
	SNI        string
	From       netip.AddrPort
	Header     http.Header
}

// StartUpstream serves until Close.
func StartUpstream(o UpstreamOptions) (*Upstream, error) {
	u := &Upstream{
		secure: o.Certificate != nil,
		sni:    map[string]int{}, protos: map[string]int{},
		gates: map[string]*Gate{}, streams: map[string]*Stream{},
	}
	silent := log.New(io.Discard, "", 0)
	u.server = &http.Server{
		Handler:   u.record(u.paths(o.Handler)),
		ErrorLog:  silent,
		ConnState: u.countConnection,
		TLSConfig: u.tlsConfig(o),
	}
	u.control = &http.Server{Handler: u.controlPaths(), ErrorLog: silent}

	listener, err := listen(o.Address)
	if err != nil {
		return nil, fmt.Errorf("start an upstream: %w", err)
	}
	control, err := listen("")
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("start an upstream's control listener: %w", err)
	}
	u.listener, u.ctlAddr = listener, addrPort(control.Addr())
	u.serving.Go(func() { u.serve(listener) })
	u.serving.Go(func() { _ = u.control.Serve(control) })
	return u, nil
}

func (u *Upstream) serve(listener net.Listener) {
	if u.secure {
		_ = u.server.ServeTLS(listener, "", "")
		return
	}
	_ = u.server.Serve(listener)
}

func (u *Upstream) tlsConfig(o UpstreamOptions) *tls.Config {
	if o.Certificate == nil {
		return nil
	}
	protocols := o.Protocols
	if len(protocols) == 0 {
		protocols = []string{"h2", "http/1.1"}
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{*o.Certificate},
		NextProtos:   protocols,
	}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		u.mu.Lock()
		u.sni[hello.ServerName]++
		u.mu.Unlock()
		return nil, nil
	}
	return config
}

func (u *Upstream) countConnection(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		u.connections.Add(1)
	}
}

// record notes every request before it is answered. Headers are kept only of
// requests with an X-Test-Id, so that a long run does not grow.
func (u *Upstream) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.requests.Add(1)
		u.mu.Lock()
		u.protos[r.Proto]++
		if id := r.Header.Get("X-Test-Id"); id != "" {
			u.seen = append(u.seen, requestOf(id, r))
		}
		u.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func requestOf(id string, r *http.Request) Request {
	seen := Request{
		ID: id, Method: r.Method, Host: r.Host, RequestURI: r.RequestURI, Proto: r.Proto,
		Header: r.Header.Clone(),
	}
	if r.TLS != nil {
		seen.SNI = r.TLS.ServerName
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		seen.From = unmap(from)
	}
	return seen
}

// Addr is where it serves.
func (u *Upstream) Addr() netip.AddrPort { return addrPort(u.listener.Addr()) }

// Port is the port of Addr.
func (u *Upstream) Port() uint16 { return u.Addr().Port() }

// URL is path at host, a name that resolves to the upstream; at its address when
// host is empty.
func (u *Upstream) URL(host, path string) string {
	scheme := "http"
	if u.secure {
		scheme = "https"
	}
	if host == "" {
		host = u.Addr().Addr().String()
	}
	return fmt.Sprintf("%s://%s:%d%s", scheme, host, u.Port(), path)
}

// ControlURL is the root of the control listener, without a final slash:
//
//	/sse/ack?id=ID&n=N    the client has event N of stream ID
//	/gate/open?name=NAME  lets those waiting at the gate go on
func (u *Upstream) ControlURL() string { return "http://" + u.ctlAddr.String() }

// Requests is every request with an X-Test-Id so far, in order of arrival.
func (u *Upstream) Requests() []Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]Request(nil), u.seen...)
}

// RequestCount counts all requests, with an X-Test-Id or not.
func (u *Upstream) RequestCount() int64 { return u.requests.Load() }

// Connections counts TCP connections accepted, handshake finished or not.
func (u *Upstream) Connections() int64 { return u.connections.Load() }

// Protocol counts the requests of one r.Proto ("HTTP/1.1", "HTTP/2.0").
func (u *Upstream) Protocol(proto string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.protos[proto]
}

// SNI counts the ClientHellos that named host; "" counts those that named none.
func (u *Upstream) SNI(host string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.sni[host]
}

// Close cuts all connections and waits for the serving goroutines. Handlers end
// with their connections.
func (u *Upstream) Close() {
	_ = u.server.Close()
	_ = u.control.Close()
	u.serving.Wait()
}

// Stop closes gracefully: requests in flight finish first.
func (u *Upstream) Stop(ctx context.Context) error {
	err := errors.Join(u.server.Shutdown(ctx), u.control.Shutdown(ctx))
	u.serving.Wait()
	return err
}
