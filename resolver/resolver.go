// Package resolver turns names into pins: addresses that were resolved by its
// own DNS queries, classified by a table made from the IANA special-purpose
// registries, and that are the only thing its Dialer connects to.
//
// A name is never resolved twice within one decision, and nothing of the
// machine's own resolution (hosts file, search list, cgo) is used.
package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxFlights bounds the lookups that are under way at once, since agents choose
// the names within a wildcard rule.
const maxFlights = 1024

var errClosed = errors.New("the resolver is closed")

// Resolver resolves names and remembers the answers. It is safe for use by many
// goroutines.
type Resolver struct {
	zones    []*zone   // the longest suffix first, all names last
	servers  []*server // of all zones
	hosts    map[string]answer
	timeout  time.Duration
	observer Observer
	log      *slog.Logger
	now      func() time.Time

	// Lookups belong to the resolver, not to the caller that was first to ask:
	// ctx ends them, and Close waits for them.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex // guards all below
	cache   *cache
	flights map[string]*flight
	closed  bool
}

// flight is one lookup that any number of callers wait for.
type flight struct {
	done  chan struct{}
	entry *entry // set before done is closed
}

// New returns a Resolver. Its error names every setting of c that is wrong.
func New(c Config) (*Resolver, error) {
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	f := &fleet{roots: c.Roots, observer: c.Observer, log: c.Logger, byName: make(map[string]*server)}
	zones, err := f.zones(&c)
	hosts, hostsErr := parseHosts(c.Hosts)
	err = errors.Join(err, hostsErr)
	if c.Timeout < 0 || c.Timeout > maxTimeout {
		err = errors.Join(err, fmt.Errorf("resolver.timeout: %s is outside of 0 to %s", c.Timeout, maxTimeout))
	}
	if c.CacheSize < 0 || c.CacheSize > maxCacheSize {
		err = errors.Join(err, fmt.Errorf("resolver.cache_size: %d is outside of 0 to %d", c.CacheSize, maxCacheSize))
	}
	if err != nil {
		return nil, err
	}
	r := &Resolver{
		zones:    zones,
		servers:  slices.Collect(maps.Values(f.byName)),
		hosts:    hosts,
		timeout:  cmp.Or(c.Timeout, defaultTimeout),
		observer: c.Observer,
		log:      c.Logger,
		now:      c.Now,
		cache:    newCache(cmp.Or(c.CacheSize, defaultCacheSize)),
		flights:  make(map[string]*flight),
	}
	if r.now == nil {
		r.now = time.Now
	}
	for _, s := range r.servers {
		r.observer.Upstream(s.String(), true)
	}
	for _, z := range zones {
		z.warnOfForgery(r.log)
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Close ends the lookups that are under way and waits for them. After it every
// Pin fails that is not in the cache.
func (r *Resolver) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
	for _, s := range r.servers {
		s.close()
	}
	return nil
}

// Pin returns the addresses of host, an ASCII name or an IP literal, if g allows
// every one of them at port. It sends no query for a literal, a static host or a
// name that is remembered.
//
// The error is a *DeniedError or a *LookupError.
func (r *Resolver) Pin(ctx context.Context, host string, port uint16, g *Guard) (*Pin, error) {
	e, err := r.entry(ctx, canonical(host))
	if err != nil {
		return nil, err
	}
	if e.err != nil {
		return nil, e.err
	}
	j := e.judgement(g)
	if j.rebound && e.noticed.CompareAndSwap(false, true) {
		r.notice(e, j)
	}
	p, err := j.endpoint(port)
	if denied, ok := errors.AsType[*DeniedError](err); ok {
		r.observer.Denied(denied.Verdict.Class)
	}
	return p, err
}

// notice tells of rebinding, once for each answer.
func (r *Resolver) notice(e *entry, j *judgement) {
	r.observer.Rebound(j.verdict.Class, j.verdict.Allowed)
	r.log.Warn("the name is rebinding", "host", e.pin.Host, "address", j.at.String(), "class", j.verdict.Class,
		"allowed", j.verdict.Allowed, "before", e.before.key, "resolver", e.pin.Resolver)
}

// entry returns what is known of name, from the cache or from a lookup that it
// starts or joins.
func (r *Resolver) entry(ctx context.Context, name string) (*entry, error) {
	now := r.now()
	r.mu.Lock()
	if e := r.cache.get(name, now); e != nil {
		r.mu.Unlock()
		r.observer.Cache(true)
		return e, nil
	}
	r.observer.Cache(false) // before a lookup that could be over first
	f, err := r.join(name, now)
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case <-f.done:
		return f.entry, nil
	case <-ctx.Done():
		err := context.Cause(ctx)
		return nil, &LookupError{Host: name, Why: "gave up waiting", Timeout: isTimeout(err), Err: err}
	}
}

// join returns the flight for name, and starts one where there is none. r.mu is
// held.
func (r *Resolver) join(name string, now time.Time) (*flight, error) {
	if f, ok := r.flights[name]; ok {
		return f, nil
	}
	f := &flight{done: make(chan struct{})}
	if a, ok := r.local(name); ok {
		f.entry = newEntry(name, a, nil, now)
		r.cache.put(name, f.entry)
		close(f.done)
		return f, nil
	}
	if why := unaskable(name); why != "" {
		return nil, &LookupError{Host: name, Why: why}
	}
	if r.closed {
		return nil, &LookupError{Host: name, Why: "not asked", Err: errClosed}
	}
	if len(r.flights) >= maxFlights {
		return nil, &LookupError{Host: name, Why: fmt.Sprintf("%d lookups are under way already", maxFlights)}
	}
	r.flights[name] = f
	r.wg.Go(func() { r.fly(name, f) })
	return f, nil
}

// fly looks name up for all who wait for f.
func (r *Resolver) fly(name string, f *flight) {
	start := r.now()
	a, err := r.lookup(r.ctx, name)
	now := r.now()
	r.observer.Lookup(result(err), now.Sub(start))

	r.mu.Lock()
	delete(r.flights, name)
	f.entry = resultEntry(name, a, err, r.cache.before(name), now)
	r.cache.put(name, f.entry)
	r.mu.Unlock()
	close(f.done)
}

// local returns what is known of name without asking anybody.
func (r *Resolver) local(name string) (answer, bool) {
	if a, ok := r.hosts[name]; ok {
		a.holes = r.zoneOf(name).holes
		return a, true
	}
	a, err := netip.ParseAddr(name)
	if err != nil || a.Zone() != "" {
		return answer{}, false
	}
	return answer{addrs: []netip.Addr{a.Unmap()}, ttl: maxTTL}, true
}

// zoneOf returns the zone that name is in.
func (r *Resolver) zoneOf(name string) *zone {
	return r.zones[slices.IndexFunc(r.zones, func(z *zone) bool { return z.holds(name) })]
}

// canonical returns name in lower case and without its trailing dot.
func canonical(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// unaskable says why no upstream is asked for name; empty if one may be.
func unaskable(name string) string {
	switch {
	case !validName(name):
		return "not a host name in ASCII"
	case !strings.Contains(name, "."):
		return "names of a single label are not looked up, for no search list is used: give the full name, or list it under resolver.hosts"
	}
	return ""
}

// validName reports whether name is an ASCII host name in lower case, of
// letters, digits, hyphens and underscores, within the lengths of RFC 1035.
func validName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
