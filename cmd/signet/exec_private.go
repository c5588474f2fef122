package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/ruleset"
	"github.com/signet-egress/signet/internal/sidecar"
	"github.com/signet-egress/signet/receipts/journal"
)

// privateOptions are the files that a private sidecar is made of; all may be "".
type privateOptions struct {
	files        configFiles
	policy, data string
}

// privateSidecar is a sidecar for one command, on a free loopback port.
type privateSidecar struct {
	dir     string // data directory, an absolute path
	mode    string // of the policy
	sidecar *sidecar.Sidecar
	end     context.CancelFunc
	served  chan error
	log     io.Closer
	release func()
}

// lingering is how long a connection may last that a command has left behind in
// some other process.
const lingering = 5 * time.Second

// maxSocketPath is what fits into sun_path with its final zero (unix(7)).
const maxSocketPath = 107

// startPrivate starts a sidecar in the directory that o names, or in the first
// of the user's that no other run has.
func startPrivate(ctx context.Context, o *privateOptions) (*privateSidecar, error) {
	set := map[string]any{"listen": "127.0.0.1:0", "metrics_listen": "off", "admin_socket": "off"}
	if o.policy != "" {
		set["policy"] = o.policy
	}
	c, err := config.Sources{File: o.files.file, EnvFile: o.files.env, Flags: set}.Load()
	if err != nil {
		return nil, exit(exitUnusable, err)
	}
	c.ShutdownTimeout = lingering
	policy, err := loadPolicy(c)
	if errors.Is(err, errNoPolicy) {
		policy, err = ruleset.ReportAll(), nil
	}
	if err != nil {
		return nil, exit(exitUnusable, err)
	}
	if o.data != "" {
		return startIn(ctx, o.data, c, policy)
	}
	state, err := stateDir()
	if err != nil {
		return nil, err
	}
	for n := 1; ; n++ {
		p, err := startIn(ctx, filepath.Join(state, "exec", c.Tenant, strconv.Itoa(n)), c, policy)
		var locked *journal.LockedError
		if !errors.As(err, &locked) {
			return p, err
		}
	}
}

// stateDir is where programs keep what survives a restart and is no
// configuration (XDG Base Directory Specification).
func stateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "signet"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", exit(exitUnusable, fmt.Errorf("finding a directory for the receipts: %w; name one by --data", err))
	}
	return filepath.Join(home, ".local", "state", "signet"), nil
}

func startIn(ctx context.Context, dir string, base *config.Config, policy *ruleset.Set) (p *privateSidecar, err error) {
	p = &privateSidecar{mode: string(policy.Policy.Mode()), served: make(chan error, 1)}
	if p.dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if p.release, err = sidecar.Claim(p.dir); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(p.path("sidecar.log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		p.release()
		return nil, fmt.Errorf("opening the sidecar's log: %w", err)
	}
	p.log = log
	c := *base
	c.Data = p.dir
	if socket := p.path("admin.sock"); len(socket) <= maxSocketPath {
		c.AdminSocket = socket // for signet tail --follow; a run without one is as good
	}
	p.sidecar, err = sidecar.New(ctx, sidecar.Options{Config: &c, Policy: policy, Build: version(), Logger: slog.New(c.Log.Handler(log))})
	if err != nil {
		_ = log.Close()
		p.release()
		return nil, err
	}
	serving, end := context.WithCancel(ctx)
	p.end = end
	go func() { p.served <- p.sidecar.Serve(serving) }()
	return p, nil
}

func (p *privateSidecar) path(name string) string { return filepath.Join(p.dir, name) }

// stop ends the sidecar cleanly. Its directory stays this run's until release.
func (p *privateSidecar) stop() error {
	p.end()
	err := <-p.served
	_ = p.log.Close() // nothing was held back
	if err != nil {
		return fmt.Errorf("the sidecar: %w (its log: %s)", err, p.path("sidecar.log"))
	}
	return nil
}
