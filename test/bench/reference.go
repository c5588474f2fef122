package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"sync"

	"github.com/signet-egress/signet/internal/testkit/peers"
)

// referenceAddrs is what the reference says on standard output when it is ready.
type referenceAddrs struct {
	Addr string `json:"addr"`
	CA   string `json:"ca"` // PEM of the authority that intercepted tunnels are served with
}

// reference is net/http and httputil.ReverseProxy, as most proxies in Go are: no
// policy, no pin, no receipt. Ratios are to it.
type reference struct {
	forward httputil.ReverseProxy
	inner   chan net.Conn // intercepted tunnels for a server of their own
	leaf    *tls.Config
}

// runReference serves until standard input ends. The origin's authority comes as
// argument.
func runReference(originCA string) error {
	ca, err := peers.NewCA()
	if err != nil {
		return err
	}
	leaf, err := ca.Leaf(inspectedHost)
	if err != nil {
		return err
	}
	roots, err := poolOf(originCA)
	if err != nil {
		return err
	}
	r := &reference{
		inner: make(chan net.Conn),
		leaf:  &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12},
		forward: httputil.ReverseProxy{
			Rewrite: func(p *httputil.ProxyRequest) {
				if p.In.TLS != nil {
					p.Out.URL.Scheme, p.Out.URL.Host = "https", p.In.Host
				}
			},
			Transport: &http.Transport{
				DialContext:         dialLoopback,
				TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
				MaxIdleConnsPerHost: 256,
				DisableCompression:  true,
			},
			ErrorLog: log.New(os.Stderr, "reference: ", 0),
		},
	}
	l, err := listen()
	if err != nil {
		return err
	}
	silent := log.New(io.Discard, "", 0)
	go serve(&http.Server{Handler: r, ErrorLog: silent}, l)
	go serve(&http.Server{Handler: &r.forward, ErrorLog: silent}, r)
	if err := json.NewEncoder(os.Stdout).Encode(referenceAddrs{Addr: l.Addr().String(), CA: string(ca.PEM())}); err != nil {
		return err
	}
	return untilStdinEnds()
}

func serve(s *http.Server, l net.Listener) {
	if err := s.Serve(l); err != nil {
		log.Print("reference: ", err)
	}
}

// dialLoopback stands in for a resolver: every name is this machine.
func dialLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// ServeHTTP implements http.Handler.
func (r *reference) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodConnect {
		r.forward.ServeHTTP(w, req)
		return
	}
	if err := r.tunnel(w, req); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}

func (r *reference) tunnel(w http.ResponseWriter, req *http.Request) error {
	upstream, err := dialLoopback(req.Context(), "tcp", req.Host)
	if err != nil {
		return err
	}
	agent, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return errors.Join(err, upstream.Close())
	}
	_, _ = io.WriteString(agent, "HTTP/1.1 200 OK\r\n\r\n")
	if host, _, _ := net.SplitHostPort(req.Host); host == inspectedHost {
		_ = upstream.Close()
		r.inner <- tls.Server(agent, r.leaf)
		return nil
	}
	var both sync.WaitGroup
	both.Go(func() { relay(upstream, agent) })
	relay(agent, upstream)
	both.Wait()
	_, _ = agent.Close(), upstream.Close()
	return nil
}

// relay copies one direction, by splice(2) where the connections are TCP.
func relay(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if t, ok := to.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}

// Accept implements net.Listener for intercepted tunnels.
func (r *reference) Accept() (net.Conn, error) { return <-r.inner, nil }

// Close implements net.Listener.
func (*reference) Close() error { return nil }

// Addr implements net.Listener.
func (*reference) Addr() net.Addr { return &net.TCPAddr{} }
