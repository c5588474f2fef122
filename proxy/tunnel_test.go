package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/signet-egress/signet/proxy"
	"github.com/signet-egress/signet/receipts"
)

// tlsTo does a TLS handshake inside a tunnel, asking for sni.
func (b *bench) tlsTo(c net.Conn, sni string) (*tls.Conn, error) {
	t := tls.Client(c, &tls.Config{ServerName: sni, RootCAs: b.root, MinVersion: tls.VersionTLS12})
	return t, t.HandshakeContext(b.t.Context())
}

func TestTunnelCarriesAndCounts(t *testing.T) {
	b := start(t, options{policy: anything})
	host := b.secure.URL("other.test", "")[len("https://"):]
	raw := &countingConn{Conn: b.connect(host)}
	c, err := b.tlsTo(raw, "other.test")
	must(t, err)
	_, err = fmt.Fprintf(c, "GET /bytes?n=1000000 HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
	must(t, err)
	body, err := io.ReadAll(c)
	must(t, err)
	if len(body) < 1000000 {
		t.Errorf("read %d bytes", len(body))
	}
	must(t, c.Close())
	r := b.only()
	d := r.Detail
	if r.Outcome != receipts.Forwarded || d.TLS.Mode != "tunnel" || d.TLS.SNI != "other.test" || d.Forwarded.PinnedIP != "127.0.0.1" {
		t.Errorf("receipt: %s %+v %+v", r.Outcome, d.TLS, d.Forwarded)
	}
	if *d.Forwarded.BytesUp != raw.written || *d.Forwarded.BytesDown != raw.read {
		t.Errorf("counted %d up, %d down; the agent counted %d, %d", *d.Forwarded.BytesUp, *d.Forwarded.BytesDown, raw.written, raw.read)
	}
}

// countingConn counts what an agent sees of its tunnel.
type countingConn struct {
	net.Conn
	read, written int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read += int64(n)
	return n, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written += int64(n)
	return n, err
}

// A ClientHello in records and segments of one byte is read whole.
func TestTunnelFragmentedHello(t *testing.T) {
	b := start(t, options{policy: anything})
	host := b.secure.URL("other.test", "")[len("https://"):]
	c, err := b.tlsTo(&fragmenting{Conn: b.connect(host)}, "other.test")
	must(t, err)
	must(t, c.Close())
	if r := b.only(); r.Detail.TLS.SNI != "other.test" {
		t.Errorf("sni %q", r.Detail.TLS.SNI)
	}
}

// fragmenting puts each byte of the first record, the ClientHello, into a record
// of its own (RFC 8446, section 5.1 allows it) and sends it bytewise.
type fragmenting struct {
	net.Conn
	done bool
}

func (f *fragmenting) Write(p []byte) (int, error) {
	if f.done {
		return f.Conn.Write(p)
	}
	f.done = true
	for _, octet := range p[5:] {
		for _, one := range []byte{p[0], p[1], p[2], 0, 1, octet} {
			if _, err := f.Conn.Write([]byte{one}); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

func TestTunnelRefusals(t *testing.T) {
	hello := func(sni string) string {
		var w recorder
		_ = tls.Client(&w, &tls.Config{ServerName: sni, MinVersion: tls.VersionTLS12}).HandshakeContext(context.Background())
		return w.String()
	}
	long := append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff}, make([]byte, 20<<10)...)
	for _, c := range []struct{ name, first, reason string }{
		{"other SNI", hello("evil.test"), "HEL_SNI_MISMATCH"},
		{"SNI of a parent", hello("test"), "HEL_SNI_MISMATCH"},
		{"no SNI", hello("127.0.0.1"), "HEL_SNI_MISMATCH"},
		{"SSH", "SSH-2.0-OpenSSH_9.9\r\n", "HEL_NOT_TLS"},
		{"HTTP", "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", "HEL_NOT_TLS"},
		{"hello too long", string(long), "HEL_NOT_TLS"},
	} {
		for _, name := range []string{"other.test", "up.test"} { // opaque, intercepted
			t.Run(c.name+" "+name, func(t *testing.T) {
				b := start(t, options{policy: anything})
				conn := b.connect(b.secure.URL(name, "")[len("https://"):])
				_, err := io.WriteString(conn, c.first)
				must(t, err)
				alert := make([]byte, 7)
				_, err = io.ReadFull(conn, alert)
				must(t, err)
				if !bytes.Equal(alert, []byte{21, 3, 1, 0, 2, 2, 49}) {
					t.Errorf("answered % x, want a fatal access_denied alert", alert)
				}
				r := b.only()
				if r.Outcome != receipts.Denied || r.Policy.Reason != c.reason || r.Policy.Allowed {
					t.Errorf("receipt: %s %+v", r.Outcome, r.Policy)
				}
				if fwd := r.Detail.Forwarded; fwd == nil || fwd.BytesUp != nil {
					t.Errorf("forwarded: %+v, want a connection that carried nothing", fwd)
				}
				if n := b.secure.RequestCount(); n != 0 {
					t.Errorf("the upstream saw %d requests", n)
				}
			})
		}
	}
}

// recorder is the write half of a connection that nobody answers on.
type recorder struct {
	net.Conn
	bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) { return r.Buffer.Write(p) }
func (r *recorder) Read([]byte) (int, error)    { return 0, io.EOF }
func (r *recorder) Close() error                { return nil }

// Either side may close its direction and still read the other.
func TestTunnelHalfClose(t *testing.T) {
	for _, first := range []string{"agent", "upstream"} {
		t.Run(first+" first", func(t *testing.T) {
			b := start(t, options{policy: anything, timeouts: proxy.Timeouts{HalfClose: time.Nanosecond}})
			agent, upstream := b.rawTunnel()
			defer func() { _ = upstream.Close() }()
			closer, other := agent, upstream
			if first == "upstream" {
				closer, other = upstream, agent
			}
			_, err := io.WriteString(closer, "last words")
			must(t, err)
			must(t, closer.CloseWrite())
			words, err := io.ReadAll(other)
			must(t, err)
			if string(words) != "last words" {
				t.Errorf("read %q", words)
			}
			_, err = io.WriteString(other, "an answer all the same")
			must(t, err)
			must(t, other.CloseWrite())
			answer, err := io.ReadAll(closer)
			must(t, err)
			if string(answer) != "an answer all the same" {
				t.Errorf("read %q", answer)
			}
			r := b.only()
			if r.Outcome != receipts.Forwarded {
				t.Errorf("outcome %s, %+v", r.Outcome, r.Policy)
			}
		})
	}
}

// rawTunnel is an opaque tunnel past its ClientHello, both of whose ends are the
// test's.
func (b *bench) rawTunnel() (agent, upstream *net.TCPConn) {
	b.t.Helper()
	accepted := make(chan *net.TCPConn, 1)
	go func() {
		c, err := b.raw.Accept()
		if err != nil {
			b.t.Error(err)
			return
		}
		accepted <- c.(*net.TCPConn)
	}()
	agent = b.connect(fmt.Sprintf("other.test:%d", b.rawPort())).(*net.TCPConn)
	upstream = <-accepted
	w := &recorder{}
	_ = tls.Client(w, &tls.Config{ServerName: "other.test", MinVersion: tls.VersionTLS12}).HandshakeContext(b.t.Context())
	_, err := agent.Write(w.Bytes())
	must(b.t, err)
	_, err = io.ReadFull(upstream, make([]byte, w.Len()))
	must(b.t, err)
	return agent, upstream
}

// Who resets a tunnel has aborted it only where the other side was not done.
func TestTunnelReset(t *testing.T) {
	for name, c := range map[string]struct {
		remains  func(c *net.TCPConn) error // what the side that was not reset does
		outcome  receipts.Outcome
		patience time.Duration // with it
	}{
		"and the other is done":        {(*net.TCPConn).Close, receipts.Forwarded, time.Hour},
		"and the other says goodbye":   {sayGoodbye, receipts.Forwarded, time.Hour},
		"and the other does so too":    {reset, receipts.Forwarded, time.Hour},
		"and the other has much more":  {sayMuch, receipts.Failed, time.Hour},
		"and the other waits for more": {saysNothing, receipts.Failed, time.Nanosecond},
	} {
		for _, first := range []string{"agent", "upstream"} {
			t.Run("by the "+first+" "+name, func(t *testing.T) {
				b := start(t, options{policy: anything, timeouts: proxy.Timeouts{HalfClose: c.patience}})
				gone, remains := b.rawTunnel()
				reason := "CLIENT_ABORTED"
				if first == "upstream" {
					gone, remains, reason = remains, gone, "UPSTREAM_ABORTED"
				}
				if c.outcome == receipts.Forwarded {
					reason = "ok"
				}
				defer func() { _ = remains.Close() }()
				must(t, reset(gone))
				must(t, c.remains(remains))
				if r := b.only(); r.Outcome != c.outcome || r.Policy.Reason != reason {
					t.Errorf("%s %s, want %s %s", r.Outcome, r.Policy.Reason, c.outcome, reason)
				}
			})
		}
	}
}

// An agent that closes in order and leaves the upstream's goodbye unread resets,
// and so may the upstream: that is an end like any other.
func TestTunnelEndsInMutualReset(t *testing.T) {
	b := start(t, options{policy: anything})
	agent, upstream := b.rawTunnel()
	must(t, agent.Close())
	_, err := io.Copy(io.Discard, upstream) // the agent's close has come through
	must(t, err)
	for range 3 {
		_, _ = io.WriteString(upstream, "goodbye")
	}
	must(t, reset(upstream))
	if r := b.only(); r.Outcome != receipts.Forwarded || r.Policy.Reason != "ok" {
		t.Errorf("%s %s", r.Outcome, r.Policy.Reason)
	}
}

func reset(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) }

func sayGoodbye(c *net.TCPConn) error {
	_, err := io.WriteString(c, "goodbye")
	return errors.Join(err, c.Close())
}

// sayMuch goes on until it is cut off.
func sayMuch(c *net.TCPConn) error {
	var err error
	for err == nil {
		_, err = c.Write(make([]byte, 32<<10))
	}
	return nil
}

func saysNothing(*net.TCPConn) error { return nil }
