package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/signet-egress/signet/internal/testkit/peers"
)

// The names of the origin: a tunnel to the first stays opaque, one to the second
// is intercepted.
const (
	opaqueHost    = "opaque.test"
	inspectedHost = "inspected.test"
)

// originAddrs is what an origin says on standard output when it is ready.
type originAddrs struct {
	Plain  int    `json:"plain"`  // port of HTTP/1.1
	Secure int    `json:"secure"` // port of HTTP/1.1 over TLS
	Bulk   int    `json:"bulk"`   // port that answers a ClientHello with bytes without end
	CA     string `json:"ca"`     // PEM of the authority of Secure
}

// answerBody is 200 bytes of JSON: what a small API answer is like.
var answerBody = `{"ok":true,"pad":"` + strings.Repeat("x", 180) + `"}`

// origin answers the same to every request: cheap, so that the proxy in front of
// it is what is measured.
type origin struct {
	accepted atomic.Int64
}

// runOrigin serves until standard input ends.
func runOrigin() error {
	ca, err := peers.NewCA()
	if err != nil {
		return err
	}
	leaf, err := ca.Leaf(opaqueHost, inspectedHost)
	if err != nil {
		return err
	}
	zeros, err := zeroFile()
	if err != nil {
		return err
	}
	o := &origin{}
	config := &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12}
	addrs := originAddrs{CA: string(ca.PEM())}
	for port, serve := range map[*int]func(net.Conn){
		&addrs.Plain:  o.answer,
		&addrs.Secure: func(c net.Conn) { o.answer(tls.Server(c, config)) },
		&addrs.Bulk:   func(c net.Conn) { o.pour(c, zeros) },
	} {
		l, err := listen()
		if err != nil {
			return err
		}
		*port = portOf(l)
		go o.accept(l, serve)
	}
	if err := json.NewEncoder(os.Stdout).Encode(addrs); err != nil {
		return err
	}
	return untilStdinEnds()
}

func (o *origin) accept(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "origin:", err)
			return
		}
		o.accepted.Add(1)
		go func() {
			defer func() { _ = c.Close() }()
			serve(c)
		}()
	}
}

// answer serves one connection. A request to /connections is told how many
// connections there have been; every other request is told answerBody.
func (o *origin) answer(c net.Conn) {
	r := bufio.NewReaderSize(c, 4<<10)
	usual := answerOf(answerBody)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		answer := usual
		if bytes.HasPrefix(line, []byte("GET /connections ")) {
			answer = answerOf(strconv.FormatInt(o.accepted.Load(), 10))
		}
		for len(bytes.TrimSpace(line)) > 0 {
			if line, err = r.ReadSlice('\n'); err != nil {
				return
			}
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

func answerOf(body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// pour reads a ClientHello, which is what a tunnel begins with, and then sends
// until the other side closes. TLS would cost more than the tunnel does.
func (*origin) pour(c net.Conn, zeros *os.File) {
	var header [5]byte
	if _, err := io.ReadFull(c, header[:]); err != nil {
		return
	}
	if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint16(header[3:]))); err != nil {
		return
	}
	for {
		// A reader that is an *os.File goes out by sendfile(2).
		if _, err := zeros.Seek(0, io.SeekStart); err != nil {
			return
		}
		if n, err := io.Copy(c, zeros); err != nil || n == 0 {
			return
		}
	}
}

// zeroFile has no name: it goes with the process. One connection reads it at a
// time.
func zeroFile() (*os.File, error) {
	f, err := os.CreateTemp("", "signet-bench")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	_, err = f.Write(make([]byte, 4<<20))
	return f, err
}

func listen() (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// untilStdinEnds keeps a child from outliving the benchmark, however that ends.
func untilStdinEnds() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
