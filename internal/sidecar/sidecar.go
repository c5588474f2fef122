// Package sidecar wires the sidecar: it is the one place that knows
// configuration, policy, resolver, journal, proxy and metrics.
package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/internal/payload"
	"github.com/signet-egress/signet/internal/ruleset"
	"github.com/signet-egress/signet/internal/ship"
	"github.com/signet-egress/signet/invariants/facts"
	"github.com/signet-egress/signet/proxy"
	"github.com/signet-egress/signet/proxy/mitm"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
	"github.com/signet-egress/signet/resolver"
)

// Options are what a Sidecar is made of. All are required but Source and Level.
type Options struct {
	Config *config.Config
	Policy *ruleset.Set
	Source Source         // where a reload reads both again; nil: it cannot
	Files  []string       // that a reload follows
	Level  *slog.LevelVar // of Logger, for reloads and operators to set
	Build  string         // version of the program, for genesis and start events
	Logger *slog.Logger
}

// Sidecar is a running sidecar: its listeners are bound from New on.
type Sidecar struct {
	config  *config.Config
	build   string
	log     *slog.Logger
	metrics *metrics.Metrics

	journal   *journal.Journal
	signing   signing
	resolver  *resolver.Resolver
	upstreams *proxy.Upstreams
	authority *mitm.Authority
	facts     *facts.Store
	inspector *payload.Inspector
	proxy     *proxy.Proxy
	server    *proxy.Server
	shipper   *ship.Shipper // nil: there is no collector
	reloading reloading
	snapshot  atomic.Pointer[proxy.Snapshot]

	agents, ops, admin     net.Listener
	opsServer, adminServer *http.Server
	stopping               chan struct{}
	stopOnce               sync.Once
}

// New opens the data directory, recovers what a crash left, and binds the
// listeners. On an error nothing stays open.
func New(ctx context.Context, o Options) (_ *Sidecar, err error) {
	s := &Sidecar{config: o.Config, build: o.Build, log: o.Logger, metrics: metrics.New(o.Build), stopping: make(chan struct{})}
	s.reloading = reloading{source: o.Source, files: o.Files, level: cmp.Or(o.Level, new(slog.LevelVar)), config: o.Config, policy: o.Policy, at: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.abandon(ctx))
		}
	}()
	if err := os.MkdirAll(o.Config.Data, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w (set data to a directory that Signet may make or write to)", err)
	}
	// Listeners first: their addresses are part of what may never be dialled.
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	if err := s.openJournal(ctx, o.Policy); err != nil {
		return nil, err
	}
	if err := s.openEnds(o.Policy); err != nil {
		return nil, err
	}
	if err := s.decideBy(o.Policy); err != nil {
		return nil, err
	}
	if s.proxy, err = s.newProxy(); err != nil {
		return nil, err
	}
	if err := s.openModel(); err != nil {
		return nil, err
	}
	if s.shipper, err = s.newShipper(); err != nil {
		return nil, err
	}
	s.server = proxy.NewServer(s.proxy)
	s.opsServer, s.adminServer = s.newOpsServer(s.opsHandler()), s.newOpsServer(s.adminHandler())
	return s, nil
}

// Addr is where agents connect to.
func (s *Sidecar) Addr() net.Addr { return s.agents.Addr() }

func addrText(l net.Listener) string {
	if l == nil {
		return "off"
	}
	return l.Addr().String()
}

// RootPEM is the certificate of the interception CA.
func (s *Sidecar) RootPEM() []byte { return s.authority.RootPEM() }

// ChainID names the journal's chain.
func (s *Sidecar) ChainID() string { return s.journal.Head().Chain }

// Serve carries traffic until ctx ends, then stops gracefully: exchanges may
// end within the configured limit, every receipt is written, and the journal is
// closed with a clean-stop event.
func (s *Sidecar) Serve(ctx context.Context) error {
	group, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	group.Go(func() error { return s.server.Serve(s.agents) })
	if s.ops != nil {
		group.Go(func() error { return ignoreClosed(s.opsServer.Serve(s.ops)) })
	}
	if s.admin != nil {
		group.Go(func() error { return ignoreClosed(s.adminServer.Serve(s.admin)) })
	}
	s.log.Info("serving", "listen", s.Addr().String(), "metrics", addrText(s.ops), "chain", s.ChainID(),
		"mode", string(s.snapshot.Load().Policy.Mode()), "policy_version", s.snapshot.Load().Version)
	watching, unwatch := context.WithCancel(ctx)
	if s.reloading.source != nil {
		group.Go(func() error {
			s.watch(watching, s.reloading.files)
			return nil
		})
	}
	if s.shipper != nil {
		group.Go(func() error {
			s.shipper.Run(watching)
			return nil
		})
	}
	select {
	case <-ctx.Done():
	case <-failed.Done(): // a listener failed: stop as cleanly as on a signal
	}
	unwatch()
	err := s.stop(context.WithoutCancel(ctx))
	return errors.Join(group.Wait(), err)
}

// stop ends in the reverse order of what depends on what.
func (s *Sidecar) stop(ctx context.Context) error {
	s.stopOnce.Do(func() { close(s.stopping) })
	s.log.Info("stopping", "limit", s.config.ShutdownTimeout.String())
	limit, cancel := context.WithTimeout(ctx, s.config.ShutdownTimeout)
	defer cancel()
	if err := s.server.Shutdown(limit); err != nil {
		s.log.Warn("exchanges were cut at the end of the stop", "error", err)
	}
	s.upstreams.Close()
	err := errors.Join(s.facts.Close(), s.journal.Close(ctx))
	if err == nil {
		s.drain(ctx)
	}
	return errors.Join(err, s.resolver.Close(), s.adminServer.Close(), s.opsServer.Close())
}

// abandon closes what New had opened when it failed.
func (s *Sidecar) abandon(ctx context.Context) error {
	var errs []error
	if s.resolver != nil {
		errs = append(errs, s.resolver.Close())
	}
	if s.facts != nil {
		errs = append(errs, s.facts.Close())
	}
	if s.journal != nil {
		errs = append(errs, s.journal.Close(ctx))
	}
	for _, l := range []net.Listener{s.agents, s.ops, s.admin} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *Sidecar) listen(ctx context.Context) error {
	var err error
	if s.agents, err = bind(ctx, "listen", s.config.Listen); err != nil {
		return err
	}
	if s.config.MetricsListen != "" {
		if s.ops, err = bind(ctx, "metrics_listen", s.config.MetricsListen); err != nil {
			return err
		}
	}
	if s.config.AdminSocket != "" {
		s.admin, err = listenAdmin(ctx, s.config.AdminSocket)
	}
	return err
}

// bind listens at the address that stands under key in the configuration.
func bind(ctx context.Context, key, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: another process has %s: stop it, or set %s to an address that is free", key, address, key)
	}
	if err != nil {
		return nil, fmt.Errorf("binding %s: %w", key, err)
	}
	return l, nil
}

func (s *Sidecar) openJournal(ctx context.Context, set *ruleset.Set) error {
	key, created, err := journal.LoadKey(s.config.Data, s.config.Key)
	if err != nil {
		return err
	}
	s.signing.file = key
	if created {
		s.log.Info("signing key made", "data", s.config.Data)
	}
	s.journal, err = journal.Open(ctx, journal.Options{
		Dir: s.config.Data, Key: key.Key, Next: key.Next, Tenant: s.config.Tenant, Agent: s.config.Agent, Build: s.build,
		PolicyVersion: set.Version, CheckpointRecords: int64(s.config.Checkpoints.Records), CheckpointInterval: s.config.Checkpoints.Interval,
		Logger: s.log, Observer: journalMetrics{s.metrics}, Limits: JournalLimits(s.config),
	})
	if err != nil {
		return err
	}
	if err := key.Settle(s.journal.KeyID()); err != nil {
		return err
	}
	s.metrics.Journal.Watch(s.journalState)
	// Which mode a chain was written under is evidence too.
	return s.journal.Event(&receipts.Event{
		Event: receipts.EventPosture, Posture: &receipts.Posture{Name: "mode", Value: string(set.Policy.Mode())},
	})
}

// openEnds makes the two far ends: names, and upstream connections; and the CA
// that intercepted hosts are served with.
func (s *Sidecar) openEnds(set *ruleset.Set) error {
	c := s.config
	names, err := ResolverConfig(c)
	if err != nil {
		return err
	}
	names.Observer, names.Logger = s.metrics.Resolver, s.log
	if s.resolver, err = resolver.New(names); err != nil {
		return err
	}
	dialer := &resolver.Dialer{Timeout: c.Timeouts.Dial}
	s.upstreams = proxy.NewUpstreams(proxy.UpstreamConfig{
		Dial: dialer.Dial, Roots: names.Roots, Handshake: c.Timeouts.TLSHandshake, ResponseHeader: c.Timeouts.ResponseHeader,
		Observer: s.metrics.Upstream,
	})
	s.authority, err = mitm.Open(mitm.Options{
		Dir: c.Data, CertFile: c.TLS.CA.Cert, KeyFile: c.TLS.CA.Key, Hosts: set.Policy.InterceptedHosts(),
		Observer: s.metrics.Intercept,
	})
	return err
}

// decideBy makes what exchanges are decided by.
func (s *Sidecar) decideBy(set *ruleset.Set) error {
	if err := s.openInspector(); err != nil {
		return err
	}
	snap, err := s.newSnapshot(s.config, set)
	if err != nil {
		return err
	}
	s.snapshot.Store(snap)
	s.metrics.Policy.Loaded(set.Version, string(set.Policy.Mode()), time.Now())
	return nil
}

// newGuard closes Signet's own ports, the machine's own addresses and the API
// server of the cluster that it is in, whatever the policy's holes are.
func (s *Sidecar) newGuard(set *ruleset.Set) (*resolver.Guard, error) {
	return s.guardFor(set.Policy.Holes())
}

func (s *Sidecar) guardFor(holes []netip.Prefix) (*resolver.Guard, error) {
	var own []netip.AddrPort
	for _, l := range s.listeners() {
		ap, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil {
			return nil, fmt.Errorf("reading the address of a listener: %w", err)
		}
		own = append(own, ap)
	}
	local, err := localAddresses()
	if err != nil {
		return nil, err
	}
	return resolver.NewGuard(holes, own, local).WithNAT64(s.config.Resolver.NAT64).WithAPIServer(apiServer()), nil
}

// apiServer is where a pod finds its cluster's API server; not valid elsewhere.
func apiServer() netip.Addr {
	a, err := netip.ParseAddr(os.Getenv("KUBERNETES_SERVICE_HOST"))
	if err != nil {
		return netip.Addr{}
	}
	return a
}

func localAddresses() ([]netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing the machine's addresses: %w", err)
	}
	var local []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			local = append(local, p.Addr())
		}
	}
	return slices.Clip(local), nil
}

func (s *Sidecar) newProxy() (*proxy.Proxy, error) {
	c := s.config
	return proxy.New(proxy.Config{
		Tenant: c.Tenant, Agent: c.Agent, Via: "signet-" + s.ChainID(),
		Snapshot: s.snapshot.Load,
		Journal:  ledger{s.journal}, Pins: s.resolver, Upstream: s.upstreams, Minter: s.authority,
		Timeouts: proxy.Timeouts{RequestHeader: c.Timeouts.RequestHeader, ClientHello: c.Timeouts.ClientHello, Idle: c.Timeouts.Idle},
		Observer: proxyMetrics{c.Tenant, s.metrics}, Logger: s.log,
	})
}

// listeners are those on TCP that are bound.
func (s *Sidecar) listeners() []net.Listener {
	if s.ops == nil {
		return []net.Listener{s.agents}
	}
	return []net.Listener{s.agents, s.ops}
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
