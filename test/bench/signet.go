package main

import (
	"context"
	"os"
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
	signet, err := o.binary(ctx, r.dirs[0], "signet")
	if err != nil {
		return err
	}
	collector, err := o.binary(ctx, r.dirs[0], "signet-collector")
	if err != nil {
		return err
	}
	ships, err := r.startCollector(ctx, collector)
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
		name, config string
		plainOnly    bool
		command      []string // the configuration file follows
	}{
		{name: "signet", config: infoLog, command: measured},
		{name: "signet, no receipts", config: infoLog, command: []string{self, "without", "receipts"}},
		{name: "signet, no intents", config: infoLog, command: []string{self, "without", "intents"}, plainOnly: true},
		{name: "signet, no log lines", config: warnLog, command: run, plainOnly: true},
		{name: shippingName, config: infoLog + ships, command: run, plainOnly: true},
	} {
		t := &target{name: s.name, plainOnly: s.plainOnly}
		file, err := r.startSidecar(ctx, t, s.config, s.command)
		if err != nil {
			return err
		}
		if s.name == shippingName {
			t.settle = func(ctx context.Context) error { return shipped(ctx, signet, file) }
		}
	}
	return nil
}

const (
	infoLog      = "log: {level: info}\n"
	warnLog      = "log: {level: warn}\n"
	shippingName = "signet, shipping"
)

// startSidecar starts a sidecar with more configuration than all have, and returns
// the file.
func (r *rig) startSidecar(ctx context.Context, t *target, more string, command []string) (file string, err error) {
	dir, err := os.MkdirTemp(r.dirs[0], "signet")
	if err != nil {
		return "", err
	}
	if t.addr, err = freeAddr(); err != nil {
		return "", err
	}
	t.log = filepath.Join(dir, "log")
	file = filepath.Join(dir, "signet.yaml")
	config := fill(signetConfig, "{listen}", t.addr, "{dir}", dir, "{ca}", r.originCA()) + more
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return "", err
	}
	policy := fill(signetPolicy, "{plain}", strconv.Itoa(r.origin.Plain), "{secure}", strconv.Itoa(r.origin.Secure), "{bulk}", strconv.Itoa(r.origin.Bulk))
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(policy), 0o600); err != nil {
		return "", err
	}
	if err := r.startProxy(ctx, t, append(command[:len(command):len(command)], file)); err != nil {
		return "", err
	}
	t.roots, err = poolOfFile(filepath.Join(dir, "data", "ca.pem"))
	return file, err
}

// binary is one of the programs: from the directory that was named, or built here.
func (o *options) binary(ctx context.Context, dir, program string) (string, error) {
	if o.bin != "" {
		return filepath.Join(o.bin, program), nil
	}
	return build(ctx, dir, program)
}
