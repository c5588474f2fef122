package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/signet-egress/signet/internal/testkit/peers"
)

// way is how the kill test's agents make their exchanges. Each exchange has an
// id, which is its X-Test-Id for the upstream and its trace for the sidecar.
type way struct {
	name        string
	path, query string
	tunnel      bool // the end is the tunnel's close
	upstream    *peers.Upstream
	// send makes one exchange, and returns the receipt's id where the answer names
	// it, once the client has seen the end.
	send  func(id, uri string) (receipt string, err error)
	close func()
}

// newWays are every mode, every framing of an answer, pooled and new connections.
func newWays(c *sidecar) []way {
	return []way{
		requestWay(c, plain, http.MethodGet, "/small/", ""),
		requestWay(c, plain, http.MethodGet, "/empty/", ""),
		requestWay(c, interceptedH1, http.MethodPost, "/echo/", ""),
		requestWay(c, interceptedH2, http.MethodGet, "/chunks/", "?n=70000"),
		requestWay(c, interceptedH2, http.MethodPost, "/digest/", ""),
		tunnelWay(c, opaqueH1),
	}
}

func requestWay(c *sidecar, m mode, method, path, query string) way {
	client := c.pooled(m)
	send := func(id, uri string) (string, error) {
		req, err := http.NewRequestWithContext(c.t.Context(), method, m.url(c.site, uri), bodyFor(method))
		if err != nil {
			return "", err
		}
		req.Header.Set("X-Test-Id", id)
		req.Header.Set("X-Signet-Trace", id)
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return "", err
		}
		if resp.StatusCode/100 != 2 {
			return "", errors.New(resp.Status)
		}
		return resp.Header.Get("X-Signet-Receipt"), nil
	}
	return way{
		name: m.name + " " + method + " " + path, path: path, query: query,
		upstream: m.upstream(c.site), send: send, close: client.CloseIdleConnections,
	}
}

func bodyFor(method string) io.Reader {
	if method == http.MethodPost {
		return strings.NewReader(message)
	}
	return nil
}

// tunnelWay opens a tunnel for each request.
func tunnelWay(c *sidecar, m mode) way {
	config := &tls.Config{RootCAs: roots(c.t, m.roots(c)), ServerName: m.host, MinVersion: tls.VersionTLS12}
	authority := strings.TrimPrefix(m.url(c.site, ""), "https://")
	send := func(id, uri string) (string, error) {
		conn, err := connect(c.addr, authority, id)
		if err != nil {
			return "", err
		}
		defer func() { _ = conn.Close() }()
		if err := getInside(tls.Client(conn, config), authority, uri, id); err != nil {
			return "", err
		}
		if err := conn.CloseWrite(); err != nil {
			return "", err
		}
		_, err = io.Copy(io.Discard, conn)
		return "", err
	}
	return way{name: m.name, path: "/small/", tunnel: true, upstream: m.upstream(c.site), send: send, close: func() {}}
}

// connect opens a tunnel.
func connect(proxy, authority, trace string) (*net.TCPConn, error) {
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nX-Signet-Trace: %s\r\n\r\n", authority, authority, trace)
	if err == nil {
		err = readEstablished(conn)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn.(*net.TCPConn), nil
}

// readEstablished reads the head of the answer and nothing behind it.
func readEstablished(conn net.Conn) error {
	var head []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, one[0]) {
		if _, err := io.ReadFull(conn, one); err != nil {
			return fmt.Errorf("after %q: %w", head, err)
		}
	}
	if !strings.HasPrefix(string(head), "HTTP/1.1 200 ") {
		return fmt.Errorf("the answer to CONNECT was %q", head)
	}
	return nil
}

func getInside(conn net.Conn, authority, uri, id string) error {
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Test-Id: %s\r\nConnection: close\r\n\r\n", uri, authority, id)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}
