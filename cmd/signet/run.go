package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/lifecycle"
	"github.com/signet-egress/signet/internal/ruleset"
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
	load := func(current *ruleset.Set) (*config.Config, *ruleset.Set, error) {
		c, err := sources.Load()
		if err != nil {
			return nil, nil, err
		}
		set, err := reloadPolicy(c, current)
		return c, set, err
	}
	c, set, err := load(nil)
	if err != nil {
		return exit(exitUnusable, err)
	}
	level := new(slog.LevelVar)
	level.Set(c.Log.Least())
	ctx, stop := lifecycle.UntilSignal(ctx)
	defer stop()
	log := slog.New(c.Log.HandlerAt(stderr, level))
	lifecycle.BoundMemory(log)
	s, err := sidecar.New(ctx, sidecar.Options{
		Config: c, Policy: set, Source: load, Files: filesOf(sources, c),
		Build: version(), Logger: log, Level: level,
	})
	if err != nil {
		return err
	}
	defer reloadOnHangup(ctx, s)()
	return s.Serve(ctx)
}

// filesOf are the files that a running sidecar follows.
func filesOf(sources config.Sources, c *config.Config) []string {
	files := []string{sources.File, sources.EnvFile, c.Policy}
	return slices.DeleteFunc(files, func(f string) bool { return f == "" })
}

// reloadOnHangup reloads at each SIGHUP until stop is called.
func reloadOnHangup(ctx context.Context, s *sidecar.Sidecar) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-signals:
				_, _ = s.Reload(ctx) // it has said what is wrong
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}
