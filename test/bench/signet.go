package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

const signetConfig = `listen: {listen}
metrics_listen: off
data: {dir}/data
policy: {dir}/policy.yaml
tenant: bench
agent: bench
resolver:
  upstreams: [udp://127.0.0.1:9]
  hosts:
    - {name: opaque.test, addresses: [127.0.0.1]}
    - {name: inspected.test, addresses: [127.0.0.1]}
tls: {extra_roots: ["{ca}"]}
log: {level: {level}}
shutdown_timeout: 1s
`

const signetPolicy = `version: 1
rules:
  - {name: plain, hosts: [opaque.test], ports: [{plain}], schemes: [http]}
  - {name: opaque, hosts: [opaque.test], ports: [{secure}, {bulk}]}
  - {name: inspected, hosts: [inspected.test], ports: [{secure}], intercept: true, methods: [GET], paths: ["/v1/**"]}
addresses:
  allow: [127.0.0.0/8]
`

// startSidecars starts signet as users run it, and more of them with one thing left
// out each, so that the price of that thing can be read.
func (r *rig) startSidecars(ctx context.Context, o *options) error {
	signet, err := o.binary(ctx, r.dirs[0])
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	run := []string{signet, "run", "--config"}
	measured := run
	if o.profile != "" {
		measured = []string{self, "profiled", o.profile}
	}
	for _, s := range []struct {
		name, level string
		plainOnly   bool
		command     []string // the configuration file follows
	}{
		{name: "signet", level: "info", command: measured},
		{name: "signet, no receipts", level: "info", command: []string{self, "without", "receipts"}},
		{name: "signet, no intents", level: "info", command: []string{self, "without", "intents"}, plainOnly: true},
		{name: "signet, no log lines", level: "warn", command: run, plainOnly: true},
	} {
		t := &target{name: s.name, plainOnly: s.plainOnly}
		if err := r.startSidecar(ctx, t, s.level, s.command); err != nil {
			return err
		}
	}
	return nil
}

func (r *rig) startSidecar(ctx context.Context, t *target, level string, command []string) (err error) {
	dir, err := os.MkdirTemp(r.dirs[0], "signet")
	if err != nil {
		return err
	}
	if t.addr, err = freeAddr(); err != nil {
		return err
	}
	t.log = filepath.Join(dir, "log")
	file := filepath.Join(dir, "signet.yaml")
	config := fill(signetConfig, "{listen}", t.addr, "{dir}", dir, "{ca}", r.originCA(), "{level}", level)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	policy := fill(signetPolicy, "{plain}", strconv.Itoa(r.origin.Plain), "{secure}", strconv.Itoa(r.origin.Secure), "{bulk}", strconv.Itoa(r.origin.Bulk))
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(policy), 0o600); err != nil {
		return err
	}
	if err := r.startProxy(ctx, t, append(command[:len(command):len(command)], file)); err != nil {
		return err
	}
	t.roots, err = poolOfFile(filepath.Join(dir, "data", "ca.pem"))
	return err
}

// binary is the sidecar: the file that was named, or one that is built here, from
// the module in the working directory.
func (o *options) binary(ctx context.Context, dir string) (string, error) {
	if o.signet != "" {
		return o.signet, nil
	}
	file := filepath.Join(dir, "signet.bin")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", file, "./cmd/signet")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build signet: %w (run this in the module's root, or name a binary with --signet)\n%s", err, said)
	}
	return file, nil
}
