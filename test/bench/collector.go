package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const collectorConfig = `collector: {address: "{grpc}", ca_file: {data}/ca.pem, token_file: {data}/token, addresses: [127.0.0.1/32]}
`

// startCollector starts signet-collector as anybody runs it on one machine, with
// SQLite, and returns the part of a sidecar's configuration that names it.
func (r *rig) startCollector(ctx context.Context, binary string) (config string, err error) {
	data := filepath.Join(r.dirs[0], "collector")
	command := func(args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, binary, append(args, "--data", data)...)
	}
	if err := command("tenant", "create", "bench").Run(); err != nil {
		return "", fmt.Errorf("make a tenant: %w", err)
	}
	token, err := command("tenant", "token", "bench", "--scope", "enroll").Output()
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	if err := os.WriteFile(filepath.Join(data, "token"), token, 0o600); err != nil {
		return "", err
	}
	address, err := freeAddr()
	if err != nil {
		return "", err
	}
	log, err := os.Create(filepath.Join(r.dirs[0], "collector.log"))
	if err != nil {
		return "", err
	}
	defer func() { _ = log.Close() }()
	serve := command("serve", "--listen", address, "--http-listen", "127.0.0.1:0")
	serve.Stderr = log
	if err := serve.Start(); err != nil {
		return "", fmt.Errorf("start the collector: %w", err)
	}
	r.running = append(r.running, serve)
	return fill(collectorConfig, "{grpc}", address, "{data}", data), nil
}

// shipped waits until the collector has all that the sidecar of a file has
// recorded.
func shipped(ctx context.Context, signet, file string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		out, err := exec.CommandContext(ctx, signet, "journal", "stat", "--config", file, "--json").Output()
		if err != nil {
			return errors.Join(fmt.Errorf("ask the sidecar what the collector has: %w", err), ctx.Err())
		}
		var st struct {
			Seq      int64 `json:"seq"`
			AckedSeq int64 `json:"acked_seq"`
		}
		if err := json.Unmarshal(out, &st); err != nil {
			return fmt.Errorf("ask the sidecar what the collector has: %w", err)
		}
		if st.AckedSeq == st.Seq {
			return nil
		}
		const pace = 20 * time.Millisecond
		if err := wait(ctx, pace); err != nil {
			return fmt.Errorf("the collector has %d of %d records: %w", st.AckedSeq, st.Seq, err)
		}
	}
}

// build makes one of the module's programs, which the working directory is in.
func build(ctx context.Context, dir, program string) (string, error) {
	file := filepath.Join(dir, program+".bin")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", file, "./cmd/"+program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w (run this in the module's root, or name binaries with --bin)\n%s", program, err, strings.TrimSpace(string(said)))
	}
	return file, nil
}
