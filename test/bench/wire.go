package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
)

// clientConn is an HTTP/1.1 connection of the load generator. It reads no more of an
// answer than tells where it ends: net/http's client costs more than some of the
// proxies that are measured with it.
type clientConn struct {
	net.Conn
	reader *bufio.Reader
	stop   func() bool // ends the watch over the context
}

// dialClient connects to addr. The connection is closed when ctx ends.
func dialClient(ctx context.Context, addr string) (*clientConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := newClientConn(conn)
	c.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return c, nil
}

func newClientConn(conn net.Conn) *clientConn {
	return &clientConn{Conn: conn, reader: bufio.NewReaderSize(conn, 4<<10)}
}

// hangUp closes the connection; nil is none.
func (c *clientConn) hangUp() {
	if c != nil {
		c.stop()
		_ = c.Close()
	}
}

// exchange sends one prepared request and drops the answer's body.
func (c *clientConn) exchange(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	length, err := c.answer()
	if err != nil {
		return err
	}
	_, err = c.reader.Discard(length)
	return err
}

// connect opens a tunnel.
func (c *clientConn) connect(authority string) error {
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", authority); err != nil {
		return err
	}
	if _, err := c.answer(); err != nil {
		return fmt.Errorf("CONNECT: %w", err)
	}
	if c.reader.Buffered() > 0 {
		return errors.New("CONNECT: something was sent behind the answer")
	}
	return nil
}

// secure goes on with TLS, verified like any client's.
func (c *clientConn) secure(ctx context.Context, config *tls.Config) error {
	t := tls.Client(c.Conn, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	c.Conn, c.reader = t, bufio.NewReaderSize(t, 4<<10)
	return nil
}

// answer reads the head of an answer with status 200 and returns the length of
// its body, 0 where none is declared.
func (c *clientConn) answer() (length int, err error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return 0, fmt.Errorf("read an answer: %w", err)
	}
	if len(line) < len("HTTP/1.1 200") || string(line[9:12]) != "200" {
		return 0, fmt.Errorf("answer: %s", bytes.TrimSpace(line))
	}
	for {
		line, err = c.reader.ReadSlice('\n')
		if err != nil {
			return 0, fmt.Errorf("read an answer: %w", err)
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			return length, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case len(name) == len("content-length") && bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, fmt.Errorf("answer: Content-Length: %w", err)
			}
		case len(name) == len("transfer-encoding") && bytes.EqualFold(name, []byte("transfer-encoding")):
			return 0, fmt.Errorf("answer: Transfer-Encoding: %s", value)
		case bytes.EqualFold(name, []byte("connection")) && bytes.EqualFold(value, []byte("close")):
			return 0, errors.New("answer: the connection is closed")
		}
	}
}

// drop reads up to len(buffer) bytes and leaves them in the kernel, so that a bulk
// transfer costs its receiver as little as can be.
func (c *clientConn) drop(buffer []byte) (n int, err error) {
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, _, failed = syscall.Recvfrom(int(fd), buffer, syscall.MSG_TRUNC|syscall.MSG_DONTWAIT)
		return !errors.Is(failed, syscall.EAGAIN)
	})
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, failed
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// clientHello is what a tunnel must begin with for host.
func clientHello(host string) []byte {
	var c capture
	// The handshake fails when it wants an answer; the hello was written by then.
	_ = tls.Client(&c, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}).HandshakeContext(context.Background())
	return c.written.Bytes()
}

// capture is a connection that keeps what is written and has nothing to read.
type capture struct {
	net.Conn
	written bytes.Buffer
}

func (c *capture) Write(b []byte) (int, error) { return c.written.Write(b) }
func (*capture) Read([]byte) (int, error)      { return 0, io.EOF }
func (*capture) Close() error                  { return nil }
