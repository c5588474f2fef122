package peers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Postgres is a PostgreSQL cluster of its own, in a temporary directory, that
// listens on a socket in it: no port, so that nobody else can have it.
type Postgres struct {
	bin, dir   string
	options    []string
	credential *syscall.Credential // nil: our own
	process    *Process
}

// ErrNoPostgres says that PostgreSQL is not installed.
var ErrNoPostgres = errors.New("PostgreSQL is not installed: make packages, or apt-get install postgresql")

// superuser is who the cluster belongs to. It needs no password: only this user,
// and the one that the server runs as, can open the socket's directory.
const superuser = "signet"

// StartPostgres makes a cluster and starts its server, with options of
// postgresql.conf such as "fsync=off".
func StartPostgres(ctx context.Context, options ...string) (*Postgres, error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(bins) == 0 {
		return nil, ErrNoPostgres
	}
	p := &Postgres{bin: filepath.Dir(slices.Max(bins)), options: options}
	if p.dir, err = os.MkdirTemp("", "signet-postgres-"); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := errors.Join(p.become(), p.initialise(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), os.RemoveAll(p.dir))
	}
	if err := p.Start(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.dir))
	}
	return p, nil
}

// become finds another user for the server where we are root, as which it will
// not run, and gives that user the directory.
func (p *Postgres) become() error {
	if os.Getuid() != 0 {
		return nil
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(owner.Gid)
	if err != nil {
		return err
	}
	p.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(p.dir, uid, gid)
}

func (p *Postgres) initialise(ctx context.Context) error {
	cmd := p.command(ctx, "initdb", "--pgdata", p.data(), "--username", superuser, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *Postgres) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential}
	return cmd
}

// Start starts the server again after Stop or Kill.
func (p *Postgres) Start(ctx context.Context) error {
	args := []string{"-D", p.data(), "-c", "listen_addresses=", "-c", "unix_socket_directories=" + p.dir}
	for _, option := range p.options {
		args = append(args, "-c", option)
	}
	process, err := StartProcess(p.command(context.WithoutCancel(ctx), "postgres", args...))
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	p.process = process
	ready := func(line string) bool {
		return strings.HasSuffix(line, "database system is ready to accept connections")
	}
	if _, err := process.Line(ctx, ready); err != nil {
		process.Kill()
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	return nil
}

// Stop ends the server at once, as pg_ctl stop --mode=fast does: connections are
// cut, and transactions under way are undone.
func (p *Postgres) Stop() error { return p.end(syscall.SIGINT) }

// Crash ends the server with its work undone, as pg_ctl stop --mode=immediate
// does; it recovers at the next start. (After a SIGKILL its children could still
// have the shared memory, and the next start would be refused.)
func (p *Postgres) Crash() error { return p.end(syscall.SIGQUIT) }

func (p *Postgres) end(signal syscall.Signal) error {
	if err := p.process.Signal(signal); err != nil {
		return fmt.Errorf("end PostgreSQL: %w", err)
	}
	select {
	case <-p.process.done:
		return nil
	case <-time.After(time.Minute):
		p.process.Kill()
		return errors.New("end PostgreSQL: still there after a minute")
	}
}

// Close ends the server and removes all that it had.
func (p *Postgres) Close() error { return errors.Join(p.Stop(), os.RemoveAll(p.dir)) }

// URL is how a user gets at a database; "" is the cluster's owner.
func (p *Postgres) URL(who, database string) string {
	if who == "" {
		who = superuser
	}
	return "postgres:///" + database + "?" + url.Values{"host": {p.dir}, "user": {who}}.Encode()
}

// Create makes a database: an empty one, or a copy of another that nobody is
// connected to.
func (p *Postgres) Create(ctx context.Context, database, copyOf string) error {
	return p.SQL(ctx, "postgres", fmt.Sprintf(`CREATE DATABASE %q TEMPLATE %q`, database, cmp.Or(copyOf, "template1")))
}

// SQL runs statements as the cluster's owner, through psql.
func (p *Postgres) SQL(ctx context.Context, database, statements string) error {
	cmd := p.command(ctx, "psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", p.URL("", database), "--command", statements)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("psql: %w\n%s", err, output)
	}
	return nil
}
