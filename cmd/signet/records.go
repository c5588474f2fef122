package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

// recordSource is one sidecar's chain, wherever it is read from.
type recordSource interface {
	// head is the newest seq.
	head(ctx context.Context) (int64, error)
	// keys are those of the chain, the one that signs last.
	keys(ctx context.Context) ([]receipts.ChainKey, error)
	// each calls fn with every record from seq from on; line is valid until fn
	// returns. With follow it goes on with what is appended until the sidecar
	// stops; a stopped sidecar's chain ends at once.
	each(ctx context.Context, from int64, follow bool, fn func(line []byte) error) error
	close() error
}

// sourceFlags say whose records to read.
type sourceFlags struct{ files configFiles }

func (f *sourceFlags) register(cmd *cobra.Command) {
	f.files.register(cmd, "the sidecar's configuration file (YAML)")
	cmd.Flags().String("data", "", "the sidecar's data directory (default /var/lib/signet)")
	cmd.Flags().String("admin-socket", "", "a running sidecar's admin socket (default admin.sock in the data directory)")
}

// load is the sidecar's configuration. named: an admin socket was given by a
// flag.
func (f *sourceFlags) load(cmd *cobra.Command) (c *config.Config, named bool, err error) {
	sources := f.files.sources(cmd, map[string]string{"data": "data", "admin-socket": "admin_socket"})
	if c, err = sources.Load(); err != nil {
		return nil, false, exit(exitUnusable, err)
	}
	_, named = sources.Flags["admin_socket"]
	return c, named, nil
}

// open opens the journal of a stopped sidecar, and the admin socket of a running
// one, which holds its journal locked.
func (f *sourceFlags) open(cmd *cobra.Command) (recordSource, error) {
	c, named, err := f.load(cmd)
	if err != nil {
		return nil, err
	}
	reader, err := journal.OpenReader(c.Data)
	if err == nil {
		return stopped{reader}, nil
	}
	return dialRunning(c, named, err)
}

// dialRunning asks the sidecar that runs, where opening its journal failed with
// err because one does.
func dialRunning(c *config.Config, named bool, err error) (running, error) {
	var locked *journal.LockedError
	if !errors.As(err, &locked) && (!named || !errors.Is(err, fs.ErrNotExist)) {
		return running{}, exit(exitUnusable, err)
	}
	if c.AdminSocket == "" {
		return running{}, exit(exitUnusable, fmt.Errorf("the sidecar of %s runs without an admin socket: set admin_socket, or stop it", c.Data))
	}
	return dialAdmin(c.AdminSocket), nil
}

// stopped reads a stopped sidecar's journal.
type stopped struct{ *journal.Reader }

func (s stopped) head(context.Context) (int64, error) { return s.Head().Seq, nil }

func (s stopped) each(ctx context.Context, from int64, _ bool, fn func(line []byte) error) error {
	return s.Range(ctx, from, func(_ int64, line []byte) error { return fn(line) })
}

func (s stopped) keys(context.Context) ([]receipts.ChainKey, error) { return s.Keys(), nil }

func (s stopped) close() error { return s.Close() }

// running asks a sidecar through its admin socket.
type running struct {
	socket string
	client *http.Client
}

func dialAdmin(socket string) running {
	var d net.Dialer
	return running{socket: socket, client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
	}}}
}

func (r running) head(ctx context.Context) (seq int64, err error) {
	err = r.get(ctx, "/v1/state", nil, func(body io.Reader) error {
		var state struct {
			Seq int64 `json:"seq"`
		}
		if err := json.NewDecoder(io.LimitReader(body, receipts.MaxLine)).Decode(&state); err != nil {
			return fmt.Errorf("reading the sidecar's state: %w", err)
		}
		seq = state.Seq
		return nil
	})
	return seq, err
}

// maxKeys bounds what is read of a chain's keys, which take 400 bytes each.
const maxKeys = 16 << 20

func (r running) keys(ctx context.Context) (keys []receipts.ChainKey, err error) {
	err = r.get(ctx, "/v1/keys", nil, func(body io.Reader) error {
		data, err := io.ReadAll(io.LimitReader(body, maxKeys))
		if err != nil {
			return fmt.Errorf("reading the sidecar's keys: %w", err)
		}
		set, err := receipts.ParseJWKS(data)
		if err != nil {
			return fmt.Errorf("reading the sidecar's keys: %w", err)
		}
		keys = set.Keys()
		return nil
	})
	return keys, err
}

func (r running) each(ctx context.Context, from int64, follow bool, fn func(line []byte) error) error {
	query := url.Values{"from": {strconv.FormatInt(from, 10)}}
	if follow {
		query.Set("follow", "1")
	}
	err := r.get(ctx, "/v1/records", query, func(body io.Reader) error { return receipts.EachLine(body, fn) })
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the sidecar ended in the middle of its answer: %w", err)
	}
	return err
}

func (r running) close() error {
	r.client.CloseIdleConnections()
	return nil
}

func (r running) get(ctx context.Context, path string, query url.Values, read func(io.Reader) error) error {
	return r.ask(ctx, http.MethodGet, path, query, read)
}

func (r running) ask(ctx context.Context, method, path string, query url.Values, read func(io.Reader) error) error {
	target := url.URL{Scheme: "http", Host: "sidecar", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), nil)
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return exit(exitUnusable, fmt.Errorf("the journal is in use, and nobody answers on the admin socket %s: %w", r.socket, errors.Unwrap(err)))
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1024)) // the status says enough
		return exit(exitUnusable, fmt.Errorf("admin socket %s: %s: %s", r.socket, resp.Status, printable(string(bytes.TrimSpace(why)))))
	}
	return read(resp.Body)
}
