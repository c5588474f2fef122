package resolver

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"

	"github.com/miekg/dns"
)

const (
	messageType = "application/dns-message"
	maxMessage  = dns.MaxMsgSize
	maxHeader   = 16 << 10 // bytes of an answer's header
)

// overHTTPS is an upstream over HTTPS (RFC 8484), by POST, over HTTP/2 or
// HTTP/1.1. It uses a Transport without a Client, which is what would follow
// redirects, and connects to one address whatever the URL says.
type overHTTPS struct {
	url       string
	name      string
	transport *http.Transport
	streams   chan struct{} // one element for each question under way

	// Connections outlive the question that they were made for: cancel ends those
	// that are being made, and close the others.
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex // guards all below
	open   map[*trackedConn]struct{}
	closed bool
}

func newHTTPS(ap netip.AddrPort, name, path string, roots *x509.CertPool) *overHTTPS {
	h := &overHTTPS{
		url:     "https://" + authority(ap, name) + path,
		name:    "https://" + ap.String() + path + nameQuery(name),
		streams: make(chan struct{}, maxStreams),
		open:    make(map[*trackedConn]struct{}),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.transport = &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return h.dial(ctx, ap.String()) },
		TLSClientConfig:        tlsConfig(ap, name, roots),
		TLSHandshakeTimeout:    defaultTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxHeader,
		// A path that has gone silent is noticed between questions.
		HTTP2: &http.HTTP2Config{SendPingTimeout: defaultTimeout, PingTimeout: defaultTimeout},
	}
	return h
}

// authority is the server as the Host field names it.
func authority(ap netip.AddrPort, name string) string {
	if name == "" {
		return netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port()).String()
	}
	if ap.Port() == 443 {
		return name
	}
	return net.JoinHostPort(name, strconv.Itoa(int(ap.Port())))
}

func (h *overHTTPS) String() string { return h.name }

func (h *overHTTPS) exchange(ctx context.Context, q dns.Question) (*dns.Msg, error) {
	select {
	case h.streams <- struct{}{}:
		defer func() { <-h.streams }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	query := newQuery(q)
	query.Id = 0 // the exchange itself tells which answer is whose (RFC 8484, section 4.1)
	pad(query)
	wire, err := query.Pack()
	if err != nil {
		return nil, fmt.Errorf("writing the query: %w", err)
	}
	body, age, err := h.post(ctx, wire)
	if err != nil {
		return nil, fmt.Errorf("asking over HTTPS: %w", contextError(ctx, err))
	}
	m, err := decodeWhole(body, query.Id, q)
	if err != nil {
		return nil, fmt.Errorf("asking over HTTPS: %w", err)
	}
	shorten(m, age)
	return m, nil
}

// post returns the body of the answer and its age in seconds.
func (h *overHTTPS) post(ctx context.Context, wire []byte) (body []byte, age uint32, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(wire))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Content-Type", messageType)
	req.Header.Set("Accept", messageType)
	req.Header.Set("User-Agent", "") // sends none
	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the upstream answered with status %d", resp.StatusCode)
	}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || media != messageType {
		return nil, 0, fmt.Errorf("the upstream answered with something other than %s", messageType)
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxMessage+1))
	if err != nil {
		return nil, 0, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxMessage {
		return nil, 0, fmt.Errorf("the upstream answered with more than %d bytes", maxMessage)
	}
	seconds, _ := strconv.ParseUint(resp.Header.Get("Age"), 10, 32) // 0 for no number, the largest for one too large
	return body, uint32(seconds), nil
}

// shorten takes the time that an answer has lain in an HTTP cache off its TTLs
// (RFC 8484, section 5.1).
func shorten(m *dns.Msg, age uint32) {
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			h := rr.Header()
			h.Ttl -= min(h.Ttl, age)
		}
	}
}

func (h *overHTTPS) dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		_ = c.Close()
		return nil, errors.New("the upstream is closed")
	}
	tracked := &trackedConn{Conn: c, of: h}
	h.open[tracked] = struct{}{}
	return tracked, nil
}

func (h *overHTTPS) close() {
	h.cancel()
	h.transport.CloseIdleConnections()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for c := range h.open {
		_ = c.Conn.Close()
	}
}

// trackedConn is known to its upstream until it is closed.
type trackedConn struct {
	net.Conn
	of *overHTTPS
}

// Close implements net.Conn.
func (c *trackedConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
