package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// target is a proxy that is measured, or the origin itself.
type target struct {
	name      string
	addr      string         // "" for the origin
	intercept string         // address for interception; "" where it is addr
	pid       int            // whose CPU time is told
	roots     *x509.CertPool // what intercepted connections chain to; nil: the origin's own
	log       string         // a file that grows, and is emptied before each measurement
	plainOnly bool           // takes part in plain HTTP only
	// settle waits until what requests have left to be done is done, which is part
	// of their cost and is not there when the next target is measured. nil: nothing.
	settle func(ctx context.Context) error
}

// takes reports whether the target has a part in the scenario.
func (t *target) takes(s scenario) bool { return s.mode == plain || !t.plainOnly }

// rig is the origin, the proxies before it, and the directories of their files.
type rig struct {
	dirs    []string // the first is where data is
	origin  originAddrs
	roots   *x509.CertPool // the origin's authority
	targets []*target
	absent  []string // peers that are not installed
	running []*exec.Cmd
}

// newRig starts everything. On an error nothing is left.
func newRig(ctx context.Context, o *options) (r *rig, err error) {
	r = &rig{}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	dir, err := os.MkdirTemp(o.dir, "signet-bench")
	if err != nil {
		return nil, err
	}
	r.dirs = []string{dir}
	if err := r.startOrigin(ctx); err != nil {
		return nil, err
	}
	if err := r.startReference(ctx); err != nil {
		return nil, err
	}
	if err := r.startSidecars(ctx, o); err != nil {
		return nil, err
	}
	if !o.peers {
		return r, nil
	}
	return r, r.startSquid(ctx)
}

// close ends the processes and removes their files.
func (r *rig) close() {
	for _, cmd := range r.running {
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, cmd := range r.running {
		_ = cmd.Wait()
	}
	for _, dir := range r.dirs {
		_ = os.RemoveAll(dir)
	}
}

func (r *rig) startOrigin(ctx context.Context) error {
	pid, err := r.startRole(ctx, &r.origin, "origin")
	if err != nil {
		return err
	}
	if r.roots, err = poolOf(r.origin.CA); err != nil {
		return err
	}
	if err := os.WriteFile(r.originCA(), []byte(r.origin.CA), 0o600); err != nil {
		return err
	}
	r.targets = append(r.targets, &target{name: "origin, no proxy", pid: pid})
	return nil
}

func (r *rig) originCA() string { return filepath.Join(r.dirs[0], "origin-ca.pem") }

func (r *rig) startReference(ctx context.Context) error {
	var addrs referenceAddrs
	pid, err := r.startRole(ctx, &addrs, "reference", r.origin.CA)
	if err != nil {
		return err
	}
	roots, err := poolOf(addrs.CA)
	r.targets = append(r.targets, &target{name: referenceName, addr: addrs.Addr, pid: pid, roots: roots})
	return err
}

// startRole runs this program as something else, see main, which says on standard
// output where it is to be found.
func (r *rig) startRole(ctx context.Context, says any, args ...string) (pid int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	if args[0] == "origin" {
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1") // leaves a core to what is measured
	}
	stdin, err := cmd.StdinPipe() // its end is the role's
	if err != nil {
		return 0, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, errors.Join(err, stdin.Close())
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	r.running = append(r.running, cmd)
	if err := json.NewDecoder(stdout).Decode(says); err != nil {
		return 0, fmt.Errorf("start %s: %w", args[0], err)
	}
	return cmd.Process.Pid, nil
}

// startProxy starts a proxy whose messages go to a file, and waits until a request
// comes through it.
func (r *rig) startProxy(ctx context.Context, t *target, args []string) error {
	log, err := os.OpenFile(t.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", t.name, err)
	}
	r.running = append(r.running, cmd)
	t.pid = cmd.Process.Pid
	if err := r.carries(ctx, t); err != nil {
		said, _ := os.ReadFile(t.log)
		return fmt.Errorf("start %s: %w; it said:\n%s", t.name, err, said)
	}
	r.targets = append(r.targets, t)
	return nil
}

// carries waits until a request comes through.
func (r *rig) carries(ctx context.Context, t *target) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	l := &load{proxy: t.addr, origin: r.origin, scenario: scenario{mode: plain}}
	for {
		c, err := l.dial(ctx)
		if err == nil {
			defer c.hangUp()
			return c.exchange(l.request())
		}
		const pace = 5 * time.Millisecond
		if waited := wait(ctx, pace); waited != nil {
			return errors.Join(waited, err)
		}
	}
}

// measure makes one measurement.
func (r *rig) measure(ctx context.Context, t *target, s scenario, window time.Duration) (*sample, error) {
	l := &load{scenario: s, proxy: t.addr, origin: r.origin}
	l.tls = &tls.Config{RootCAs: r.roots, ServerName: opaqueHost, MinVersion: tls.VersionTLS12}
	if s.mode == inspected {
		l.tls.ServerName = inspectedHost
		if t.roots != nil {
			l.tls.RootCAs = t.roots
		}
		if t.intercept != "" {
			l.proxy = t.intercept
		}
	}
	if t.log != "" {
		if err := os.Truncate(t.log, 0); err != nil {
			return nil, err
		}
	}
	got, err := l.run(ctx, window, t.pid)
	if err == nil && t.settle != nil {
		err = t.settled(ctx, got)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", s.name, t.name, err)
	}
	return got, nil
}

// settled has the target settle, and adds what that costs to a measurement.
func (t *target) settled(ctx context.Context, s *sample) error {
	before, err := cpuTime(t.pid)
	if err != nil {
		return err
	}
	if err := t.settle(ctx); err != nil {
		return err
	}
	after, err := cpuTime(t.pid)
	s.CPU += after - before
	return err
}

func poolOf(pem string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil, errors.New("no certificate in PEM form")
	}
	return pool, nil
}

// freeAddr is an address that nobody listens on now.
func freeAddr() (string, error) {
	l, err := listen()
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// fill puts values in a template of a configuration file: each name in braces.
func fill(template string, values ...string) string {
	return strings.NewReplacer(values...).Replace(template)
}

func poolOfFile(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return poolOf(string(pem))
}
