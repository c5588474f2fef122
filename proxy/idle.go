package proxy

import (
	"slices"
	"time"

	"github.com/signet-egress/signet/proxy/http1"
)

// idleConn is a connection over which HTTP/1 is spoken, in use or not.
type idleConn struct {
	*http1.Conn
	raw   *pooledConn // below TLS
	as    Conn
	since time.Time // that it is not in use
}

// idle are the connections of a pool that are not in use. Its owner's lock guards
// it, and each raw.
type idle struct {
	conns []*idleConn // the longest unused first
	timer *time.Timer // nil where there are none
}

// take returns the one that was used last, which is the likeliest to be open; nil
// where there is none.
func (i *idle) take() *idleConn {
	n := len(i.conns)
	if n == 0 {
		return nil
	}
	c := i.conns[n-1]
	i.conns[n-1] = nil
	i.conns = i.conns[:n-1]
	return c
}

// add keeps a connection; expire is called when one may have been unused for limit.
func (i *idle) add(c *idleConn, limit time.Duration, expire func()) {
	c.since = time.Now()
	i.conns = append(i.conns, c)
	if i.timer == nil {
		i.timer = time.AfterFunc(limit, expire)
	}
}

// expire closes what has not been used for limit.
func (i *idle) expire(limit time.Duration) {
	n := 0
	for n < len(i.conns) && time.Since(i.conns[n].since) >= limit {
		n++
	}
	i.drop(n)
	if len(i.conns) > 0 {
		i.timer.Reset(limit - time.Since(i.conns[0].since))
	}
}

// drop closes the n that were not used for longest.
func (i *idle) drop(n int) {
	for _, c := range i.conns[:n] {
		_ = c.raw.closeLocked()
	}
	i.conns = slices.Delete(i.conns, 0, n)
	if len(i.conns) == 0 && i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
}
