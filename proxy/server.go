package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"

	"github.com/signet-egress/signet/proxy/framing"
)

// maxStreams is the most concurrent HTTP/2 streams of one connection.
const maxStreams = 100

// newHTTPServer is what both the agent's listener and the inside of a tunnel are
// served with.
func newHTTPServer(p *Proxy, t Timeouts, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:                      http.HandlerFunc(p.handle),
		ReadHeaderTimeout:            t.RequestHeader,
		IdleTimeout:                  t.Idle,
		MaxHeaderBytes:               framing.MaxRequestLine + framing.MaxHeaderBlock,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Server is the agent's listener in front of a Proxy.
type Server struct {
	proxy *Proxy
	http  *http.Server
}

// NewServer returns a Server for p, which it ends at Shutdown.
func NewServer(p *Proxy) *Server {
	s := &Server{proxy: p}
	s.http = newHTTPServer(p, p.Timeouts, p.Logger)
	s.http.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, servedKey{}, c)
	}
	return s
}

// Serve accepts agents' connections until Shutdown.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(&listener{l, s.proxy.Timeouts})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown stops accepting and lets exchanges and tunnels end. When ctx ends
// first, what is left is cut. Either way it returns once every receipt is
// written; the error says that there was something to cut.
func (s *Server) Shutdown(ctx context.Context) error {
	stopped := make(chan error, 1)
	go func() { stopped <- s.http.Shutdown(ctx) }()
	err := s.proxy.drain(ctx)
	err = errors.Join(err, <-stopped)
	s.proxy.cutting.Store(true)
	_ = s.http.Close()
	s.proxy.end()
	return err
}

type listener struct {
	net.Listener
	timeouts Timeouts
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newServedConn(c, l.timeouts), nil
}
