package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/signet-egress/signet/internal/testkit/peers"
)

const demoCollectorConfig = `collector: {address: "%s", ca_file: collector/ca.pem, token_file: enrol-token, addresses: [127.0.0.1/32], drain_timeout: 1m}
`

// demoCollector is signet-collector, as anybody would run it on one machine: a
// process of its own, with SQLite.
type demoCollector struct {
	binary string
	data   string // its directory

	process *peers.Process
	listen  string // for the sidecar, host:port
	url     string // for people and their programs
	token   string // that reads and exports
}

// start makes the tenant, its tokens and the process, and returns once it serves.
// The sidecar's token goes to the file at enrol.
func (c *demoCollector) start(ctx context.Context, enrol string) error {
	if _, err := c.command(ctx, "tenant", "create", "demo"); err != nil {
		return err
	}
	secret, err := c.command(ctx, "tenant", "token", "demo", "--scope", "enroll")
	if err != nil {
		return err
	}
	if err := os.WriteFile(enrol, []byte(secret), 0o600); err != nil {
		return err
	}
	if c.token, err = c.command(ctx, "tenant", "token", "demo", "--scope", "receipts.read,export"); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), c.binary, "serve", "--data", c.data, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0") //nolint:gosec // the program beside this one
	cmd.Env = []string{}                                                                                                                                   // nothing of the user's settings
	if c.process, err = peers.StartProcess(cmd); err != nil {
		return err
	}
	_, err = c.process.Line(ctx, func(line string) bool {
		var listening struct{ Msg, GRPC, HTTP string }
		if json.Unmarshal([]byte(line), &listening) != nil || listening.Msg != "listening" {
			return false
		}
		c.listen, c.url = listening.GRPC, "http://"+listening.HTTP
		return true
	})
	return err
}

// command runs one of the collector's commands, and returns what it prints.
func (c *demoCollector) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.binary, append(args, "--data", c.data)...) //nolint:gosec // the program beside this one
	cmd.Env = []string{}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	printed, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("signet-collector %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(printed)), nil
}

// stop asks the collector to stop and waits until it has.
func (c *demoCollector) stop(ctx context.Context) error {
	if err := c.process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-c.process.Done():
	case <-ctx.Done():
		return fmt.Errorf("waiting for the collector to stop: %w", context.Cause(ctx))
	}
	if err := c.process.Wait(); err != nil {
		return fmt.Errorf("the collector: %w; it wrote:\n%s", err, c.process.Output())
	}
	return nil
}

func (c *demoCollector) close() {
	if c.process != nil {
		c.process.Kill()
	}
}
