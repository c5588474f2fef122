// Package mitm is the certificate authority of TLS interception.
//
// Three levels: a root that clients trust and that is stable for an
// installation; an intermediate that lives in memory for at most seven days and
// is constrained to the intercepted hosts, so that a leaked one is worth little;
// and a leaf for each host. All keys that it makes are P-256.
package mitm

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// Options is what an Authority is opened with.
type Options struct {
	// Dir holds ca.pem and ca.key, which are made when both are absent. The
	// caller is its only writer. Unused when CertFile is set.
	Dir string

	// CertFile and KeyFile are the operator's CA, PEM, both or neither. The
	// certificate may be followed by those of its issuers; a CA that is not
	// self-signed is sent to clients with them.
	CertFile, KeyFile string

	// Hosts are the intercepted patterns as policies have them: names, names
	// after *. or **., and IP literals. Leaves exist for these only.
	Hosts []string

	// CacheSize bounds the leaves kept; default 1,024, about 3 MiB: more hosts
	// than an agent talks to in a day.
	CacheSize int

	// MintPerSecond and MintBurst bound the leaves made, since under a wildcard
	// an agent can ask for a new name with each CONNECT; defaults 100 and 500.
	// A leaf costs about 0.1 ms of CPU.
	MintPerSecond, MintBurst int

	Observer Observer         // may be nil
	Now      func() time.Time // default time.Now
}

// Observer hears of the leaf cache. Calls are concurrent.
type Observer interface {
	LeafCached(hit bool)
	LeafMinted(err error) // nil: a leaf was made
}

// ErrMintRate says that too many new hosts were asked for within a short time.
// The next attempt may succeed.
var ErrMintRate = errors.New("too many new hosts to intercept within a second")

// HostError says that a host is not among those that the Authority was opened
// or renewed with, so that no client would accept a leaf for it.
type HostError struct{ Host string }

func (e *HostError) Error() string {
	return fmt.Sprintf("%q is not among the intercepted hosts", e.Host)
}

// Authority mints leaves. Its methods may be called concurrently.
type Authority struct {
	root     *root
	now      func() time.Time
	observer Observer

	issuers atomic.Pointer[issuers]
	replace sync.Mutex // held to replace issuers

	leaves *cache
	flight singleflight.Group
	limit  *rate.Limiter
}

// Open loads the root, or makes one, and issues the first intermediate.
func Open(o Options) (*Authority, error) {
	a := &Authority{
		now:      o.Now,
		observer: o.Observer,
		leaves:   newCache(cmp.Or(o.CacheSize, 1024)),
		limit:    rate.NewLimiter(rate.Limit(cmp.Or(o.MintPerSecond, 100)), cmp.Or(o.MintBurst, 500)),
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.observer == nil {
		a.observer = blind{}
	}
	var err error
	if a.root, err = openRoot(o, a.now()); err != nil {
		return nil, err
	}
	if err := a.Renew(o.Hosts); err != nil {
		return nil, err
	}
	return a, nil
}

// Renew replaces the intermediates by ones for hosts. Leaves of the old one are
// not handed out again; connections that have one keep it. On an error the old
// intermediate stays.
func (a *Authority) Renew(hosts []string) error {
	names, err := newConstraints(hosts)
	if err != nil {
		return err
	}
	a.replace.Lock()
	defer a.replace.Unlock()
	_, err = a.issue(names, a.now())
	return err
}

// RootPEM is what clients must trust: the root's certificate, or the operator's
// with its issuers.
func (a *Authority) RootPEM() []byte { return a.root.pem() }

// Generation counts the renewals of the intermediates; it starts at 1.
func (a *Authority) Generation() uint64 { return a.issuers.Load().generation }

// ServerConfig is what a tunnel to host, a lower-case ASCII name or a canonical
// IP literal, is terminated with. It offers alpn in that order. Configurations
// are shared, so that sessions resume within one host and never across hosts:
// the caller must not change one.
//
// Errors: *HostError, ErrMintRate, the end of ctx, or a CA that has expired.
func (a *Authority) ServerConfig(ctx context.Context, host string, alpn []string) (*tls.Config, error) {
	now := a.now()
	from, err := a.current(now)
	if err != nil {
		return nil, err
	}
	l := a.leaves.get(host, from.generation, now)
	a.observer.LeafCached(l != nil)
	if l == nil {
		if l, err = a.leaf(ctx, from, host, now); err != nil {
			return nil, fmt.Errorf("make a leaf for %s: %w", host, err)
		}
	}
	return l.config(alpn), nil
}

// leaf mints a leaf, or waits for the one who does.
func (a *Authority) leaf(ctx context.Context, from *issuers, host string, now time.Time) (*leaf, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	made, err, _ := a.flight.Do(strconv.FormatUint(from.generation, 36)+" "+host, func() (any, error) {
		if l := a.leaves.get(host, from.generation, now); l != nil {
			return l, nil // another flight landed between the look-up and this one
		}
		l, err := a.mint(from, host, now)
		a.observer.LeafMinted(err)
		if err != nil {
			return nil, err
		}
		a.leaves.put(l)
		return l, nil
	})
	if err != nil {
		return nil, err
	}
	return made.(*leaf), nil
}

func (a *Authority) mint(from *issuers, host string, now time.Time) (*leaf, error) {
	is := from.permitting(host)
	if is == nil {
		return nil, &HostError{Host: host}
	}
	if !a.limit.AllowN(now, 1) {
		return nil, ErrMintRate
	}
	return is.mint(host, now)
}

// current are the intermediates to mint from, made again ahead of their expiry.
func (a *Authority) current(now time.Time) (*issuers, error) {
	if is := a.issuers.Load(); is.serves(now) {
		return is, nil
	}
	a.replace.Lock()
	defer a.replace.Unlock()
	is := a.issuers.Load()
	if is.serves(now) {
		return is, nil
	}
	return a.issue(is.names, now)
}

// issue makes intermediates the current ones. The caller holds replace.
func (a *Authority) issue(names *constraints, now time.Time) (*issuers, error) {
	var generation uint64 = 1
	if old := a.issuers.Load(); old != nil {
		generation = old.generation + 1
	}
	is, err := a.root.issueAll(names, generation, now)
	if err != nil {
		return nil, err
	}
	a.issuers.Store(is)
	return is, nil
}

type blind struct{}

func (blind) LeafCached(bool)  {}
func (blind) LeafMinted(error) {}
