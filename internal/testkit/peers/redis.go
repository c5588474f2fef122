package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Redis is a Redis server in a temporary directory, that listens on a socket in it
// and keeps nothing when it ends.
type Redis struct {
	dir     string
	options []string
	process *Process
}

// ErrNoRedis says that Redis is not installed.
var ErrNoRedis = errors.New("Redis is not installed: make packages, or apt-get install redis-server")

// StartRedis starts a server, with options of redis.conf such as "requirepass x".
func StartRedis(ctx context.Context, options ...string) (*Redis, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, ErrNoRedis
	}
	dir, err := os.MkdirTemp("", "signet-redis-")
	if err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	r := &Redis{dir: dir, options: options}
	if err := r.Start(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// Start starts the server again after Kill, with nothing in it.
func (r *Redis) Start(ctx context.Context) error {
	lines := append([]string{"port 0", "unixsocket " + r.socket(), `save ""`, "appendonly no", "dir " + r.dir}, r.options...)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "redis-server", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	process, err := StartProcess(cmd)
	if err != nil {
		return fmt.Errorf("start Redis: %w", err)
	}
	r.process = process
	ready := func(line string) bool { return strings.Contains(line, "ready to accept connections") }
	if _, err := process.Line(ctx, ready); err != nil {
		process.Kill()
		return fmt.Errorf("start Redis: %w", err)
	}
	return nil
}

func (r *Redis) socket() string { return filepath.Join(r.dir, "redis.sock") }

// URL is how a client gets at it; user and password may be nil.
func (r *Redis) URL(who *url.Userinfo) string {
	return (&url.URL{Scheme: "unix", User: who, Path: r.socket()}).String()
}

// Pause stops the server where it is: its connections stay, and nothing is answered.
func (r *Redis) Pause() error { return r.process.Signal(syscall.SIGSTOP) }

// Resume has it go on.
func (r *Redis) Resume() error { return r.process.Signal(syscall.SIGCONT) }

// Dial connects to the server as a client does.
func (r *Redis) Dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", r.socket())
}

// Kill ends the server with SIGKILL, and all that it held.
func (r *Redis) Kill() { r.process.Kill() }

// Close ends the server and removes all that it had.
func (r *Redis) Close() error {
	r.Kill()
	return os.RemoveAll(r.dir)
}
