package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/metrics"
	"github.com/signet-egress/signet/internal/ruleset"
	"github.com/signet-egress/signet/proxy"
	"github.com/signet-egress/signet/proxy/mitm"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
	"github.com/signet-egress/signet/resolver"
)

// The sidecar with a part left out: what the price of that part is told by. The
// product has no such switch.

// noReceipts writes nothing.
type noReceipts struct{}

func (noReceipts) Begin(*receipts.Receipt, string) error { return nil }
func (noReceipts) Err() error                            { return nil }
func (noReceipts) Wait() error                           { return nil }

// Finish gives the receipt a place in its trace, which metrics look at.
func (j noReceipts) Finish(r *receipts.Receipt) proxy.Commit {
	r.Hop = 1
	return j
}

// noIntents writes receipts only.
type noIntents struct{ *journal.Journal }

func (noIntents) Begin(*receipts.Receipt, string) error     { return nil }
func (j noIntents) Finish(r *receipts.Receipt) proxy.Commit { return j.Journal.Finish(r) }

// observer counts as the sidecar does.
type observer struct{ m *metrics.Metrics }

func (o observer) Settled(s *proxy.Settled) {
	o.m.Exchanges.Settled(metrics.Exchange{
		Tenant: "bench", Host: s.Pattern, Method: s.Method, Endpoint: s.Kind, Reason: string(s.Reason),
		Status: s.Status, Total: s.Total, Carried: s.Carried, Hop: s.Receipt.Hop,
	})
}
func (o observer) TunnelOpened(mode string) func() { return o.m.Tunnels.Opened(mode) }
func (o observer) Handshake(err error)             { o.m.Intercept.Handshake(err) }
func (o observer) Limited(limit string)            { o.m.Exchanges.Limited("bench", limit) }
func (o observer) Panicked()                       { o.m.Exchanges.Panicked() }

// runWithout is the sidecar of file without part, until SIGTERM.
func runWithout(part, file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, err := config.Load(file, nil)
	if err != nil {
		return err
	}
	set, err := ruleset.Load(c.Policy)
	if err != nil {
		return err
	}
	store, shut, err := openJournal(ctx, part, c, set)
	if err != nil {
		return err
	}
	p, err := newProxy(c, set, store)
	if err != nil {
		return errors.Join(err, shut())
	}
	return errors.Join(serveUntil(ctx, c, p), shut())
}

func openJournal(ctx context.Context, part string, c *config.Config, set *ruleset.Set) (store proxy.Journal, shut func() error, err error) {
	if part == "receipts" {
		return noReceipts{}, func() error { return nil }, os.MkdirAll(c.Data, 0o700)
	}
	key, _, err := journal.LoadKey(c.Data, c.Key)
	if err != nil {
		return nil, nil, err
	}
	j, err := journal.Open(ctx, journal.Options{Dir: c.Data, Key: key.Key, Tenant: c.Tenant, Agent: c.Agent, Build: "bench", PolicyVersion: set.Version})
	if err != nil {
		return nil, nil, err
	}
	return noIntents{j}, func() error { return j.Close(context.WithoutCancel(ctx)) }, nil
}

func serveUntil(ctx context.Context, c *config.Config, p *proxy.Proxy) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return err
	}
	server := proxy.NewServer(p)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ShutdownTimeout)
	defer cancel()
	return server.Shutdown(limit)
}

// newProxy wires what internal/sidecar wires.
func newProxy(c *config.Config, set *ruleset.Set, store proxy.Journal) (*proxy.Proxy, error) {
	m := metrics.New("bench")
	names := resolver.Config{Upstreams: c.Resolver.Upstreams, Observer: m.Resolver}
	for _, h := range c.Resolver.Hosts {
		names.Hosts = append(names.Hosts, resolver.Host(h))
	}
	pins, err := resolver.New(names)
	if err != nil {
		return nil, err
	}
	roots, err := poolOfFile(c.TLS.ExtraRoots[0])
	if err != nil {
		return nil, err
	}
	authority, err := mitm.Open(mitm.Options{Dir: c.Data, Hosts: set.Policy.InterceptedHosts(), Observer: m.Intercept})
	if err != nil {
		return nil, err
	}
	own, err := netip.ParseAddrPort(c.Listen)
	if err != nil {
		return nil, err
	}
	snapshot := &proxy.Snapshot{
		Policy: set.Policy, Version: set.Version,
		Guard: resolver.NewGuard(set.Policy.Holes(), []netip.AddrPort{own}, nil),
	}
	dialer := &resolver.Dialer{Timeout: c.Timeouts.Dial}
	return proxy.New(proxy.Config{
		Tenant: c.Tenant, Agent: c.Agent, Via: "signet-bench", Snapshot: func() *proxy.Snapshot { return snapshot },
		Journal: store, Pins: pins, Minter: authority, Observer: observer{m},
		Upstream: proxy.NewUpstreams(proxy.UpstreamConfig{Dial: dialer.Dial, Roots: roots, Observer: m.Upstream}),
		Logger:   slog.New(c.Log.Handler(os.Stderr)),
	})
}
