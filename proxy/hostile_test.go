package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// framesOf plays an h2 upstream frame by frame, which answers one request with
// what the test writes, right or wrong.
func (b *bench) framesOf(answer func(f *http2.Framer, stream uint32)) {
	c, err := b.raw.Accept()
	if err != nil {
		b.t.Error(err)
		return
	}
	cert, err := b.ca.Leaf("up.test")
	if err != nil {
		b.t.Error(err)
		return
	}
	secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	defer func() { _ = secure.Close() }()
	if _, err := io.ReadFull(secure, make([]byte, len(http2.ClientPreface))); err != nil {
		b.t.Error(err)
		return
	}
	f := http2.NewFramer(secure, secure)
	f.AllowIllegalWrites = true
	_ = f.WriteSettings()
	for {
		frame, err := f.ReadFrame()
		switch h := frame.(type) {
		case nil:
			if !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
				b.t.Log(err)
			}
			return
		case *http2.SettingsFrame:
			if !h.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			answer(f, h.StreamID)
		}
	}
}

// head writes an answer's header, of name and value pairs.
func head(f *http2.Framer, stream uint32, end bool, pairs ...string) {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i < len(pairs); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}) // to memory
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
}

// askFrames sends a GET over HTTP/1.1, intercepted, to that upstream.
func (b *bench) askFrames(answer func(f *http2.Framer, stream uint32)) net.Conn {
	b.t.Helper()
	go b.framesOf(answer)
	host := fmt.Sprintf("up.test:%d", b.rawPort())
	c := tls.Client(b.connect(host), &tls.Config{ServerName: "up.test", RootCAs: b.root, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12})
	must(b.t, c.HandshakeContext(b.t.Context()))
	_, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
	must(b.t, err)
	return c
}

// A length that is no number, or two, is none: were it passed on, the agent would
// see an end that nobody holds.
func TestHeldEndOfDoubtfulLengths(t *testing.T) {
	for name, lengths := range map[string][]string{
		"sign": {"content-length", "+5"},
		"two":  {"content-length", "5", "content-length", "5"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, options{policy: anything})
			release := b.journal.hold()
			defer release()
			c := b.askFrames(func(f *http2.Framer, stream uint32) {
				head(f, stream, false, append([]string{":status", "200"}, lengths...)...)
				_ = f.WriteData(stream, true, []byte("hello"))
			})
			b.journal.waiting()
			if h := readUntil(t, c, "\r\n\r\n"); strings.Contains(h, "Content-Length") {
				t.Fatal(h)
			}
			readUntil(t, c, "5\r\nhello\r\n")
			mustBeQuiet(t, c)
			release()
			rest, err := io.ReadAll(c)
			must(t, err)
			if string(rest) != "0\r\n\r\n" {
				t.Errorf("after the receipt came %q", rest)
			}
		})
	}
}

// A 304 tells the length of what it does not send.
func TestNotModifiedWithLength(t *testing.T) {
	b := start(t, options{policy: anything})
	c := b.askFrames(func(f *http2.Framer, stream uint32) {
		head(f, stream, true, ":status", "304", "content-length", "500", "etag", "x")
	})
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusNotModified || resp.Header.Get("Etag") != "x" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
}

// An upstream's status that HTTP does not have is its failure, on record like
// any other, and never a 200.
func TestImpossibleStatus(t *testing.T) {
	for _, status := range []string{"099", "0", "-5", "70000"} {
		t.Run(status, func(t *testing.T) {
			b := start(t, options{policy: anything})
			c := b.askFrames(func(f *http2.Framer, stream uint32) {
				head(f, stream, false, ":status", status)
				_ = f.WriteData(stream, true, []byte("hello"))
			})
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != http.StatusBadGateway {
				t.Errorf("%s %v", resp.Status, resp.Header)
			}
			if r := b.only(); r.Outcome != "failed" || r.Policy.Reason != "UPSTREAM_FAILED" {
				t.Errorf("receipt %s %s", r.Outcome, r.Policy.Reason)
			}
		})
	}
}

// A flood of informational answers, and one that pretends to switch protocols
// over h2, end the exchange.
func TestInformationalAnswersAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		status      string
		times, want int // informational answers that come through
	}{
		"five":  {"103", 5, 5},
		"flood": {"103", 100, 5},
		"101":   {"101", 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, options{policy: anything})
			conn := b.askFrames(func(f *http2.Framer, stream uint32) {
				for range c.times {
					head(f, stream, false, ":status", c.status)
				}
				head(f, stream, true, ":status", "204")
			})
			r, seen := bufio.NewReader(conn), 0
			resp, err := http.ReadResponse(r, nil)
			for ; err == nil && resp.StatusCode < 200; resp, err = http.ReadResponse(r, nil) {
				seen++
			}
			must(t, err)
			must(t, resp.Body.Close())
			final := http.StatusBadGateway
			if c.times == c.want {
				final = http.StatusNoContent
			}
			if seen != c.want || resp.StatusCode != final {
				t.Errorf("%d informational answers, then %s", seen, resp.Status)
			}
		})
	}
}
