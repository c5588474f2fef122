package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/ruleset"
	"github.com/signet-egress/signet/internal/sidecar"
)

// runProfiled is the sidecar of file as signet run has it, until SIGTERM, with its
// CPU and allocation profiles left in dir.
func runProfiled(dir, file string) (err error) {
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
	s, err := sidecar.New(ctx, sidecar.Options{Config: c, Policy: set, Build: "bench", Logger: slog.New(c.Log.Handler(os.Stderr))})
	if err != nil {
		return err
	}
	cpu, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	err = s.Serve(ctx)
	pprof.StopCPUProfile()
	allocs, createErr := os.Create(filepath.Join(dir, "allocs.pprof"))
	if createErr != nil {
		return errors.Join(err, createErr)
	}
	return errors.Join(err, cpu.Close(), pprof.Lookup("allocs").WriteTo(allocs, 0), allocs.Close())
}
