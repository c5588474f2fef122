package proxy

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/signet-egress/signet/internal/policy"
	"github.com/signet-egress/signet/receipts"
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
		MaxHeaderBytes:               maxHeaderBytes,
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
	err := s.http.Serve(&listener{l, s.proxy})
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

func (p *Proxy) handle(w http.ResponseWriter, r *http.Request) {
	if c, ok := r.Context().Value(servedKey{}).(*servedConn); ok {
		c.handling.Store(true)
		defer c.handling.Store(false)
	}
	p.ServeHTTP(w, r)
}

type listener struct {
	net.Listener
	proxy *Proxy
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &servedConn{Conn: c, proxy: l.proxy}, nil
}

type servedKey struct{}

// servedConn is an agent's HTTP/1 connection, or the TLS session inside an
// intercepted tunnel. net/http answers a request head that it cannot parse below
// the handler, in its own words; servedConn knows those answers and gives the
// denial of the contract instead, with a receipt.
type servedConn struct {
	net.Conn
	proxy    *Proxy
	tunnel   *tunnel     // the intercepted CONNECT around it; nil outside
	handling atomic.Bool // a handler runs: what is written is its own
}

// builtinHeaders are what net/http puts right behind the status line of an answer
// that it makes itself, and no handler's answer has there: for a head that it
// cannot read, and for an expectation that it does not know.
var builtinHeaders = [...][]byte{
	[]byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"),
	[]byte("\r\nConnection: close\r\nDate: "),
}

// Write implements net.Conn.
func (c *servedConn) Write(b []byte) (int, error) {
	status := 0
	if !c.handling.Load() {
		status = builtinAnswer(b)
	}
	if status == 0 {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(c.proxy.refuseHead(status, c.tunnel).raw()); err != nil {
		return 0, err
	}
	return len(b), nil
}

// CloseWrite is what net/http ends a connection with after such an answer.
func (c *servedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok { // TCP and TLS
		return half.CloseWrite()
	}
	return nil
}

// builtinAnswer is the status of an answer of net/http's own, else 0.
func builtinAnswer(b []byte) int {
	if bytes.Contains(b, []byte("\r\nX-Signet-")) {
		return 0
	}
	line := bytes.Index(b, []byte("\r\n"))
	const version = len("HTTP/1.1 ")
	ours := func(header []byte) bool { return bytes.HasPrefix(b[line:], header) }
	if line < version+3 || !slices.ContainsFunc(builtinHeaders[:], ours) {
		return 0
	}
	status, err := strconv.Atoi(string(b[version : version+3]))
	if err != nil || status < 400 {
		return 0
	}
	return status
}

// refuseHead receipts a request whose head could not be parsed; t is the tunnel
// that it came in, or nil.
func (p *Proxy) refuseHead(status int, t *tunnel) *answerTo {
	now := p.Now()
	snap := p.Snapshot()
	d := &denial{reason: policy.TargetMalformed, outcome: receipts.Denied, status: status, detail: "the request head is not valid HTTP/1.1"}
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		d.reason, d.detail = policy.LimitExceeded, "the request head is larger than "+strconv.Itoa(maxHeaderBytes)+" bytes"
	case http.StatusExpectationFailed:
		d = refuseExpectation()
	case http.StatusNotImplemented:
		d.detail = "the only transfer coding is chunked"
	case http.StatusHTTPVersionNotSupported:
		d.detail = "the only versions are HTTP/1.0 and HTTP/1.1"
	}
	agent, host := p.Agent, ""
	var key *APIKey
	if t != nil {
		agent, key, host = t.agent, t.key, t.target.Host
	}
	r := &receipts.Receipt{
		ReceiptID: newReceiptID(), TraceID: p.sessions.trace(agent, now), Tenant: p.Tenant, Agent: agent, APIKey: key.id(),
		Outcome: receipts.Denied, Count: 1,
		Policy: receipts.Policy{Reason: string(d.reason), Mode: string(snap.Policy.Mode()), Version: snap.Version},
		Detail: &receipts.Detail{Started: now},
	}
	if id := p.denials.gather(r); id != "" {
		return d.answer("", host, id)
	}
	if err := p.Journal.Finish(r).Wait(); err != nil {
		p.Logger.Error("receipt not written", "receipt_id", r.ReceiptID, "error", err)
		return deny(policy.JournalUnavailable, "", err).answer("", host, "")
	}
	p.Observer.Settled(&Settled{Receipt: r, Reason: d.reason, Method: "OTHER", Kind: "http", Total: time.Since(now)})
	p.logDecision(r)
	p.Logger.Info("close", "receipt_id", r.ReceiptID, "outcome", string(r.Outcome), "reason", string(d.reason),
		"duration_us", time.Since(now).Microseconds(), "bytes_up", 0, "bytes_down", 0)
	return d.answer("", host, r.ReceiptID)
}
