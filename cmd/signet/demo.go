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
	binary string // signet itself, for the sidecar's process
	keep   string // directory for everything; "" is one that is removed
	policy string // %[1]d and %[2]d are the upstreams' ports
	asJSON bool
}

func newDemoCommand() *cobra.Command {
	d := &demo{policy: demoPolicy}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on this machine, on loopback only, and check it",
		Long: `Start two TLS upstreams, a DNS server that answers for them and the sidecar, send
them what an agent might, well meant and not, through ordinary HTTP clients, and
show what became of each. Everything stays on loopback and is removed at the end;
--keep keeps configuration, policy and receipts, to look at.

The exit status is 0 if every line is as it must be and the receipts verify.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if d.binary, err = os.Executable(); err != nil {
				return fmt.Errorf("finding this program's file: %w", err)
			}
			ctx, stop := lifecycle.UntilSignal(cmd.Context())
			defer stop()
			return d.run(ctx, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&d.keep, "keep", "", "keep everything in this directory, which must be empty or absent")
	cmd.Flags().BoolVar(&d.asJSON, "json", false, "write the outcome as JSON")
	return cmd
}

func (d *demo) run(ctx context.Context, out io.Writer) (err error) {
	dir, remove, err := d.directory()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	s, err := openStage(ctx, d.binary, dir, d.policy)
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
	if err != nil || p.Passed {
		return err
	}
	return exit(1, errors.New("the demonstration is not as it must be"))
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
	p.conclude(err)
	return p
}
