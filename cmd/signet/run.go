package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/sidecar"
)

func newRunCommand() *cobra.Command {
	var files configFiles
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the sidecar until SIGTERM or SIGINT",
		Long: `Run the sidecar: accept agents' HTTP proxy requests, allow what the policy names,
and leave a signed receipt for every exchange in the data directory.

The first SIGTERM or SIGINT stops accepting, lets exchanges end within
shutdown_timeout, and closes the journal. A second one ends at once; the next
start then recovers what was open.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSidecar(cmd.Context(), files.sources(cmd, runFlags), cmd.ErrOrStderr())
		},
	}
	files.register(cmd, "configuration file (YAML); without one, defaults, environment and flags")
	registerRunFlags(cmd)
	return cmd
}

// runFlags are the flags of run that stand for a configuration key.
var runFlags = map[string]string{
	"listen": "listen", "policy": "policy", "data": "data", "metrics-listen": "metrics_listen",
}

func registerRunFlags(cmd *cobra.Command) {
	cmd.Flags().String("listen", "", "address for agents (default 127.0.0.1:3128)")
	cmd.Flags().String("policy", "", "policy file or directory")
	cmd.Flags().String("data", "", "data directory: journal, keys, CA (default /var/lib/signet)")
	cmd.Flags().String("metrics-listen", "", "address of /metrics, /healthz and /readyz (default :9464)")
}

// changedFlags are the values of the flags that were given, by configuration key.
func changedFlags(cmd *cobra.Command, keys map[string]string) map[string]any {
	set := make(map[string]any)
	for flag, key := range keys {
		if f := cmd.Flags().Lookup(flag); f != nil && f.Changed {
			set[key] = f.Value.String()
		}
	}
	return set
}

func runSidecar(ctx context.Context, sources config.Sources, stderr io.Writer) error {
	c, err := sources.Load()
	if err != nil {
		return exit(exitUnusable, err)
	}
	set, err := loadPolicy(c)
	if err != nil {
		return exit(exitUnusable, err)
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	s, err := sidecar.New(ctx, sidecar.Options{Config: c, Policy: set, Build: version(), Logger: slog.New(c.Log.Handler(stderr))})
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// untilSignal returns a context that the first SIGTERM or SIGINT ends. The
// second one ends the process, as if nobody had asked for the first.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	done := make(chan struct{})
	go func() {
		select {
		case got := <-signals:
			cancel(fmt.Errorf("received %s", got))
			signal.Stop(signals) // the next one has its default effect: the end
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
