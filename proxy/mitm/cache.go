package mitm

import (
	"container/list"
	"crypto/tls"
	"slices"
	"sync"
	"time"
)

// leaf is a host's certificate and the configurations that serve it.
type leaf struct {
	host        string
	generation  uint64
	replaceAt   time.Time // from then on a new one is due
	certificate tls.Certificate

	mu      sync.Mutex
	configs []*tls.Config // one a list of protocols
}

// A leaf's configurations differ in the protocols that its upstream speaks,
// which are few; beyond this many, a configuration is used once.
const configsPerLeaf = 4

// config is the shared configuration that offers alpn. Each has session ticket
// keys of its own.
func (l *leaf) config(alpn []string) *tls.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.configs {
		if slices.Equal(c.NextProtos, alpn) {
			return c
		}
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{l.certificate},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   slices.Clone(alpn),
	}
	if len(l.configs) < configsPerLeaf {
		l.configs = append(l.configs, c)
	}
	return c
}

// cache keeps the leaves last used, one a host.
type cache struct {
	size int

	mu    sync.Mutex
	order list.List // of *leaf, the last used in front
	hosts map[string]*list.Element
}

func newCache(size int) *cache {
	return &cache{size: size, hosts: make(map[string]*list.Element)}
}

// get is the host's leaf of that generation, nil where there is none that can be
// served at this time.
func (c *cache) get(host string, generation uint64, now time.Time) *leaf {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.hosts[host]
	if !ok {
		return nil
	}
	l := e.Value.(*leaf)
	if l.generation != generation || !now.Before(l.replaceAt) || now.Before(l.certificate.Leaf.NotBefore) {
		return nil
	}
	c.order.MoveToFront(e)
	return l
}

func (c *cache) put(l *leaf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.hosts[l.host]; ok {
		e.Value = l
		c.order.MoveToFront(e)
		return
	}
	c.hosts[l.host] = c.order.PushFront(l)
	if c.order.Len() > c.size {
		oldest := c.order.Back()
		delete(c.hosts, c.order.Remove(oldest).(*leaf).host)
	}
}
