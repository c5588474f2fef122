package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/collector"
	"github.com/signet-egress/signet/internal/collector/pki"
	"github.com/signet-egress/signet/internal/collector/redis"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/witness"
	"github.com/signet-egress/signet/internal/lifecycle"
)

// settings are what the commands share.
type settings struct {
	data, database     string
	listen, httpListen string
	httpCert, httpKey  string
	metricsListen      string
	names              []string
	logName            string
	tenantRate         int
	redis              string
	witnesses          []string
	witnessInterval    time.Duration
	cluster            cluster
	migrate            bool
}

func (s *settings) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.data, "data", "signet-collector", "directory of the signing key, the CA and, by default, the database")
	cmd.Flags().StringVar(&s.database, "database", "", "postgres://USER@HOST/DATABASE or sqlite:PATH (default sqlite:DATA/collector.db)")
}

// makeData makes the directory of what is kept beside the database.
func (s *settings) makeData() error {
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return &unusableError{fmt.Errorf("data: %w", err)}
	}
	return nil
}

// url is the database's, whose directory is made first where it is a file in data.
func (s *settings) url() (string, error) {
	if s.database != "" {
		return s.database, nil
	}
	return "sqlite:" + filepath.Join(s.data, "collector.db"), s.makeData()
}

func (s *settings) open(ctx context.Context) (store.Store, error) {
	url, err := s.url()
	if err != nil {
		return nil, err
	}
	if s.migrate {
		if err := collector.MigrateStore(ctx, url); err != nil {
			return nil, err
		}
	}
	return collector.OpenStore(ctx, url)
}

// shared is the Redis that replicas share; nil: none.
func (s *settings) shared() (*redis.Settings, error) {
	if s.redis == "" {
		return nil, nil
	}
	settings, err := redis.ParseURL(s.redis)
	if err != nil {
		return nil, &unusableError{err}
	}
	return settings, nil
}

// witnessClients are those of the logs. Two names for one key are no two witnesses.
func (s *settings) witnessClients() ([]*witness.Client, error) {
	if s.witnessInterval < time.Second {
		return nil, &unusableError{fmt.Errorf("witness-interval: %s is less than a second", s.witnessInterval)}
	}
	clients := make([]*witness.Client, len(s.witnesses))
	for i, named := range s.witnesses {
		var err error
		if clients[i], err = witness.New(named); err != nil {
			return nil, &unusableError{err}
		}
	}
	if err := witness.Distinct(clients); err != nil {
		return nil, &unusableError{err}
	}
	return clients, nil
}

// certificate is what API and pages are served with over TLS; nil: without.
func (s *settings) certificate(log *slog.Logger) (*pki.FileCertificate, error) {
	switch {
	case s.httpCert == "" && s.httpKey == "":
		return nil, nil
	case s.httpCert == "" || s.httpKey == "":
		return nil, &unusableError{errors.New("http-cert and http-key go together")}
	}
	cert, err := pki.OpenCertificate(s.httpCert, s.httpKey, log)
	if err != nil {
		return nil, &unusableError{err}
	}
	return cert, nil
}

func newServeCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Take, keep and show receipts until SIGTERM or SIGINT",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), &s, cmd.ErrOrStderr())
		},
	}
	s.register(cmd)
	cmd.Flags().StringVar(&s.listen, "listen", ":8443", "address for sidecars (gRPC)")
	cmd.Flags().StringVar(&s.httpListen, "http-listen", ":8080", "address for people and probes (HTTP)")
	cmd.Flags().StringVar(&s.httpCert, "http-cert", "", "PEM file of a certificate, with its chain, to serve that address over TLS; read again when it is replaced")
	cmd.Flags().StringVar(&s.httpKey, "http-key", "", "PEM file of that certificate's key")
	cmd.Flags().StringVar(&s.metricsListen, "metrics-listen", "", "address of /metrics, such as :9464; without one there are none")
	cmd.Flags().BoolVar(&s.migrate, "migrate", false, "bring the tables up to date first, as their owner")
	cmd.Flags().StringSliceVar(&s.names, "name", []string{"localhost", "127.0.0.1", "::1"}, "names and addresses that sidecars reach the collector by, for its certificate")
	cmd.Flags().StringVar(&s.logName, "log-name", "signet-collector", "begins the name of each tenant's log, such as collector.example.com; auditors know logs by it, so that it must never change")
	cmd.Flags().IntVar(&s.tenantRate, "tenant-rate", 10_000, "records a second that one tenant may send to this replica, or to all that share a Redis, on the average of 10 seconds")
	cmd.Flags().StringVar(&s.redis, "redis", "", "redis://HOST[:PORT][/DB], rediss://… (TLS) or unix:///SOCKET: what replicas share limits and a cache of receipts through; without one each has its own")
	cmd.Flags().StringSliceVar(&s.witnesses, "witness", nil, "verifier key and URL, with a space between, of a witness that cosigns the logs' checkpoints (C2SP tlog-witness); may be given several times")
	cmd.Flags().DurationVar(&s.witnessInterval, "witness-interval", time.Minute, "how often a log that grows is sent to the witnesses; one that rests is once a day")
	s.cluster.register(cmd)
	return cmd
}

func serve(ctx context.Context, s *settings, stderr io.Writer) (err error) {
	ctx, stop := lifecycle.UntilSignal(ctx)
	defer stop()
	if s.tenantRate < 1 {
		return &unusableError{fmt.Errorf("tenant-rate: %d is not 1 or more", s.tenantRate)}
	}
	shared, err := s.shared()
	if err != nil {
		return err
	}
	witnesses, err := s.witnessClients()
	if err != nil {
		return err
	}
	if err := s.makeData(); err != nil {
		return err
	}
	kept, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	key, err := collector.LoadKey(filepath.Join(s.data, "key.pem"))
	if err != nil {
		return err
	}
	authority, err := pki.LoadAuthority(filepath.Join(s.data, "ca.pem"), filepath.Join(s.data, "ca.key"))
	if err != nil {
		return err
	}
	kubernetes, err := s.cluster.kubernetes()
	if err != nil {
		return &unusableError{err}
	}
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	lifecycle.BoundMemory(log)
	cert, err := s.certificate(log)
	if err != nil {
		return err
	}
	c, err := collector.New(ctx, collector.Options{
		Listen: s.listen, HTTPListen: s.httpListen, HTTPCertificate: cert, MetricsListen: s.metricsListen, Names: s.names,
		Store: kept, Authority: authority, Key: key, TenantRate: s.tenantRate, LogName: s.logName, Build: version(), Kubernetes: kubernetes, Redis: shared,
		Witnesses: witnesses, WitnessInterval: s.witnessInterval, Logger: log,
	})
	if err != nil {
		return err
	}
	return c.Serve(ctx)
}
