// Package collector wires the collector: it is the one place that knows store,
// ingest, authority and listeners.
package collector

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/signet-egress/signet/internal/api"
	"github.com/signet-egress/signet/internal/collector/access"
	"github.com/signet-egress/signet/internal/collector/enrol"
	"github.com/signet-egress/signet/internal/collector/ingest"
	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/collector/redis"
	"github.com/signet-egress/signet/internal/collector/retention"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/witness"
	"github.com/signet-egress/signet/internal/metrics"
)

// Options are what a Collector is made of. All are required but MetricsListen,
// Kubernetes, Redis, and Witnesses with their WitnessInterval.
type Options struct {
	Listen     string // of gRPC, host:port
	HTTPListen string // of API, pages and health, host:port
	// HTTPCertificate is what API, pages and health are served with over TLS; nil:
	// they are served without, to a proxy that has one.
	HTTPCertificate *pki.FileCertificate
	// MetricsListen is where /metrics is served, away from what tenants reach; "":
	// nowhere.
	MetricsListen string
	Names         []string // that sidecars reach the collector by, for its certificate
	Store         store.Store
	Authority     *pki.Authority
	Key           ed25519.PrivateKey // that signs acks, checkpoints and bundles
	TenantRate    int                // records a second that a tenant may send, to all replicas that share a Redis; 0: the default
	Limits        ingest.Limits      // of each sidecar; zero members are the defaults
	LogName       string             // begins the origin of every log, such as collector.example.com; it never changes
	Build         string             // version of the program
	Kubernetes    *enrol.Kubernetes  // whose service accounts may enrol; nil: nobody's
	Redis         *redis.Settings    // what replicas share beside the store; nil: nothing
	Witnesses     []*witness.Client  // of the logs; none: they are not witnessed
	// WitnessInterval is between two times that a growing log is sent to them.
	WitnessInterval time.Duration
	Logger          *slog.Logger
}

// Collector is a running collector: its listeners are bound from New on.
type Collector struct {
	log        *slog.Logger
	metrics    *metrics.Collector
	sequencer  *merkle.Sequencer
	watch      *ingest.Watch
	feeder     *witness.Feeder
	pruner     *retention.Pruner
	grpc       *grpc.Server
	rpc        net.Listener
	pages, ops *site         // ops may be nil
	redis      *redis.Client // nil: there is none
	ending     chan struct{} // closed when streams are to end
}

// New binds the listeners. On an error nothing stays open but the store, which is
// the caller's.
func New(ctx context.Context, o Options) (_ *Collector, err error) {
	measured := metrics.NewCollector(o.Build)
	shared := newRedis(ctx, o, measured)
	if shared != nil {
		defer func() {
			if err != nil {
				err = errors.Join(err, shared.Close())
			}
		}()
	}
	limits := newBudgets(o, shared)
	gate := access.NewGate(o.Store, time.Now, limits.requests, limits.refused)
	sequencer := merkle.NewSequencer(o.Store, merkle.NewSigner(o.LogName, o.Key), measured, o.Logger)
	handler, err := httpHandler(o, gate, newCache(o, shared, measured), sequencer, measured)
	if err != nil {
		return nil, err
	}
	c := &Collector{
		log: o.Logger, metrics: measured, redis: shared, ending: make(chan struct{}),
		sequencer: sequencer, watch: ingest.NewWatch(o.Store, o.Logger, measured), pruner: &retention.Pruner{Store: o.Store, Now: time.Now},
		feeder: witness.NewFeeder(o.Store, merkle.Prover{Store: o.Store}, o.Witnesses, o.WitnessInterval, measured, o.Logger),
	}
	if c.rpc, err = listen(ctx, "listen", o.Listen); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.closeListeners())
		}
	}()
	if c.pages, err = newSite(ctx, "http-listen", o.HTTPListen, handler, o.Logger); err != nil {
		return nil, err
	}
	if o.HTTPCertificate != nil {
		c.pages.overTLS(o.HTTPCertificate)
	}
	if o.MetricsListen != "" {
		if c.ops, err = newSite(ctx, "metrics-listen", o.MetricsListen, opsHandler(measured), o.Logger); err != nil {
			return nil, err
		}
	}
	if c.grpc, err = c.newGRPCServer(o, gate, limits); err != nil {
		return nil, err
	}
	return c, nil
}

// sites are the HTTP servers that there are.
func (c *Collector) sites() (all []*site) {
	for _, s := range []*site{c.pages, c.ops} {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

func (c *Collector) closeListeners() error {
	err := c.rpc.Close()
	for _, s := range c.sites() {
		err = errors.Join(err, s.listener.Close())
	}
	return err
}

func listen(ctx context.Context, key, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return l, nil
}

// Addr is where sidecars connect to.
func (c *Collector) Addr() net.Addr { return c.rpc.Addr() }

// HTTPAddr is where people and probes do.
func (c *Collector) HTTPAddr() net.Addr { return c.pages.listener.Addr() }

// MetricsAddr is where Prometheus does; there must be a MetricsListen.
func (c *Collector) MetricsAddr() net.Addr { return c.ops.listener.Addr() }

func (c *Collector) newGRPCServer(o Options, gate *access.Gate, limits budgets) (*grpc.Server, error) {
	cert := pki.NewServerCertificate(o.Authority, o.Names)
	if _, err := cert.Get(nil); err != nil {
		return nil, err
	}
	s := ingest.NewServer(ingest.Options{
		Store: o.Store, Key: o.Key, Log: o.Logger, Observer: c.metrics, Appended: c.sequencer.Appended, Logged: merkle.Prover{Store: o.Store}.Holds,
		Records: limits.records, Beats: limits.beats, Lines: limits.lines, Ending: c.ending, Limits: o.Limits,
	})
	server := grpc.NewServer(
		grpc.Creds(ingest.Credentials(&tls.Config{
			MinVersion: tls.VersionTLS13, GetCertificate: cert.Get,
			// A sidecar that enrols has no certificate yet; Ingest asks for one itself.
			ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: o.Authority.Pool(),
		})),
		grpc.MaxRecvMsgSize(s.Limits.MaxMessage()),
		grpc.ChainStreamInterceptor(recoverStream(o.Logger, c.metrics)), grpc.ChainUnaryInterceptor(recoverCall(o.Logger, c.metrics)),
		grpc.MaxConcurrentStreams(2), // a connection is one sidecar's, which has one stream; each may hold a message that is not whole yet
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 5 * time.Minute, Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	api.RegisterIngestServer(server, s)
	pub, _ := o.Key.Public().(ed25519.PublicKey)
	api.RegisterEnrolmentServer(server, enrol.NewServer(enrol.Options{
		Store: o.Store, Tokens: gate, Kubernetes: o.Kubernetes, Authority: o.Authority, Key: pub, Attempts: limits.enrolments, Caller: s.Authenticate, Now: time.Now, Log: o.Logger,
	}))
	return server, nil
}

// drain is how long a stopping collector lets end what is under way.
const drain = 10 * time.Second

// Serve works until ctx ends, then lets what is under way end. It returns when
// nothing runs any more.
func (c *Collector) Serve(ctx context.Context) error {
	group, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	working, stop := context.WithCancel(failed)
	defer stop()
	group.Go(c.serveStreams)
	for _, s := range c.sites() {
		group.Go(s.serve)
	}
	prune := func(ctx context.Context) { c.pruner.Run(ctx, c.log) }
	for _, run := range []func(context.Context){c.sequencer.Run, c.watch.Run, c.feeder.Run, prune} {
		group.Go(func() error {
			run(working)
			return nil
		})
	}
	c.log.InfoContext(ctx, "listening", "grpc", c.Addr().String(), "http", c.HTTPAddr().String())
	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	c.stop(context.WithoutCancel(ctx))
	stop()
	err := group.Wait()
	if c.redis != nil {
		err = errors.Join(err, c.redis.Close())
	}
	return err
}

func (c *Collector) serveStreams() error {
	err := c.grpc.Serve(c.rpc)
	if errors.Is(err, grpc.ErrServerStopped) { // before it had begun
		return nil
	}
	return err
}

func (c *Collector) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	var stopping sync.WaitGroup
	defer stopping.Wait()
	for _, s := range c.sites() {
		stopping.Go(func() {
			if err := s.server.Shutdown(ctx); err != nil { // an export, which may take hours
				c.log.WarnContext(ctx, "stopping HTTP", "error", errors.Join(err, s.server.Close()))
			}
		})
	}
	c.stopStreams(ctx)
}

func (c *Collector) stopStreams(ctx context.Context) {
	close(c.ending)
	done := make(chan struct{})
	go func() {
		c.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		c.grpc.Stop()
		<-done
	}
}
