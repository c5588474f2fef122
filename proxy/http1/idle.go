package http1

import (
	"crypto/tls"
	"errors"
	"os"
	"syscall"
	"time"
)

// Idle reports whether a connection between two exchanges can take another: its
// upstream has neither closed it nor sent anything, which an answer would be taken
// for that belongs to nobody.
func (c *Conn) Idle() bool {
	if !c.ready() {
		return false
	}
	socket := c.Conn
	if secure, ok := c.Conn.(*tls.Conn); ok {
		if !hasNothingDecrypted(secure) {
			return false
		}
		socket = secure.NetConn()
	}
	s, ok := socket.(syscall.Conn)
	return ok && quiet(s)
}

// hasNothingDecrypted reads what TLS has taken from the socket and not given yet,
// and from the socket nothing: its deadline has passed.
func hasNothingDecrypted(c *tls.Conn) bool {
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return false
	}
	var one [1]byte
	if _, err := c.Read(one[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	return c.SetReadDeadline(time.Time{}) == nil
}
