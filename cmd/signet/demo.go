package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/lifecycle"
)

// demo is one run of the demonstration.
type demo struct {
	binary    string // signet itself, for the sidecar's process
	collector string // signet-collector; "" is none
	second    string // the second verifier; "" is none
	keep      string // directory for everything; "" is one that is removed
	policy    string // %[1]d and %[2]d are the upstreams' ports
	stay      bool
	asJSON    bool
}

func newDemoCommand() *cobra.Command {
	d := &demo{policy: demoPolicy}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on this machine, on loopback only, and check it",
		Long: `Start two TLS upstreams, a DNS server that answers for them, a collector and the
sidecar, send them what an agent might, well meant and not, through ordinary HTTP
clients, and show what became of each: in its receipt, at the collector, and in a
bundle that the collector exports. Everything stays on loopback and is removed at
the end; --keep keeps configuration, policy and receipts, and --stay leaves the
collector running until it is interrupted, to look at its pages.

The collector is the program signet-collector beside this one; where there is
none, the demonstration goes without.

The exit status is 0 if every line is as it must be and the receipts verify.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if d.binary, err = os.Executable(); err != nil {
				return fmt.Errorf("finding this program's file: %w", err)
			}
			d.collector = beside(d.binary, "signet-collector")
			ctx, stop := lifecycle.UntilSignal(cmd.Context())
			defer stop()
			return d.run(ctx, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&d.keep, "keep", "", "keep everything in this directory, which must be empty or absent")
	cmd.Flags().BoolVar(&d.stay, "stay", false, "leave the collector running at the end, until interrupted")
	cmd.Flags().StringVar(&d.second, "second-verifier", "", "have signet_verify.py, which is this file, verify the collector's bundle too")
	cmd.Flags().BoolVar(&d.asJSON, "json", false, "write the outcome as JSON")
	return cmd
}

// beside is the program of this name in the directory of another, or "".
func beside(binary, name string) string {
	path := filepath.Join(filepath.Dir(binary), name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

func (d *demo) run(ctx context.Context, out io.Writer) (err error) {
	dir, remove, err := d.directory()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	s, err := openStage(ctx, d.binary, d.collector, dir, d.policy)
	if err != nil {
		return err
	}
	defer s.close()
	p := d.play(ctx, s)
	if d.asJSON {
		err = json.NewEncoder(out).Encode(p)
	} else {
		_, err = io.WriteString(out, p.table(styleOf(out), d.keep))
	}
	if err != nil {
		return err
	}
	if err := d.leave(ctx, s, out); err != nil {
		return err
	}
	if p.Passed {
		return nil
	}
	return exit(1, errors.New("the demonstration is not as it must be"))
}

// leave stops the collector: at once, or when the person who looks at it says so.
func (d *demo) leave(ctx context.Context, s *stage, out io.Writer) error {
	if s.collector == nil {
		return nil
	}
	if d.stay {
		fmt.Fprintf(out, "To look at its pages, until Ctrl-C: %s, with the token %s\n", s.collector.url, s.collector.token)
		<-ctx.Done()
	}
	return s.collector.stop(context.WithoutCancel(ctx))
}

// directory is where the run lives, and what removes it.
func (d *demo) directory() (dir string, remove func() error, err error) {
	if d.keep == "" {
		dir, err = os.MkdirTemp("", "signet-demo-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	if dir, err = filepath.Abs(d.keep); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = exit(exitUnusable, fmt.Errorf("--keep %s is not empty: name a new directory", d.keep))
	}
	return dir, func() error { return nil }, err
}

// play runs every scene, stops the sidecar, and holds what happened against its
// receipts. What goes wrong on the way is part of the outcome.
func (d *demo) play(ctx context.Context, s *stage) *playbill {
	p := &playbill{}
	for i := range scenes {
		p.Lines = append(p.Lines, s.perform(ctx, &scenes[i], i))
	}
	err := s.stopSidecar(ctx)
	if err == nil {
		err = p.check(ctx, s.path("data"))
	}
	if err == nil && s.collector != nil {
		err = d.checkCollector(ctx, s.collector, p, s.path("bundle.zip"))
	}
	p.conclude(err)
	return p
}
