package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/internal/rollout"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/bundle"
	"github.com/signet-egress/signet/receipts/journal"
	"github.com/signet-egress/signet/resolver"
)

// dataUsage is what a DATA argument may be.
const dataUsage = "a data directory, the admin socket of a running sidecar, a bundle, a file of records as JSON lines, or - for standard input"

// eachReceipt calls fn with every receipt of every DATA argument. Its error says
// which of them cannot be used.
func eachReceipt(cmd *cobra.Command, paths []string, fn func(*receipts.Receipt)) error {
	for _, path := range paths {
		records, err := openData(cmd, path)
		if err == nil {
			err = errors.Join(records.each(cmd.Context(), 1, false, func(line []byte) error {
				r, err := receipts.Decode(line)
				if err != nil {
					return fmt.Errorf("a record cannot be read (signet verify says more): %w", err)
				}
				if receipt, ok := r.(*receipts.Receipt); ok {
					fn(receipt)
				}
				return nil
			}), records.close())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", printable(path), err)
		}
	}
	return nil
}

func openData(cmd *cobra.Command, path string) (recordSource, error) {
	if path == "-" {
		return lines{io.NopCloser(cmd.InOrStdin())}, nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("does not exist; DATA is " + dataUsage)
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSocket != 0:
		return dialAdmin(path), nil
	case !info.IsDir():
		return openFile(path, info.Size())
	}
	reader, err := journal.OpenReader(path)
	if _, locked := errors.AsType[*journal.LockedError](err); locked {
		return dialAdmin(filepath.Join(path, "admin.sock")), nil
	}
	return stopped{reader}, err
}

// openFile opens a bundle or JSON lines.
func openFile(path string, size int64) (recordSource, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if !isBundle(f) {
		return lines{f}, nil
	}
	reader, err := bundle.Open(f, size)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return bundled{reader, f}, nil
}

// bundled are the records of a bundle.
type bundled struct {
	*bundle.Reader
	file *os.File
}

func (b bundled) head(context.Context) (int64, error) { return b.Manifest().Last.Seq, nil }

func (bundled) keys(context.Context) ([]receipts.ChainKey, error) { return nil, errors.ErrUnsupported }

func (b bundled) each(_ context.Context, _ int64, _ bool, fn func(line []byte) error) error {
	return b.Lines(fn)
}

func (b bundled) close() error { return b.file.Close() }

// lines are records as signet tail and signet receipts write them with --json.
type lines struct{ io.ReadCloser }

func (lines) head(context.Context) (int64, error) { return 0, errors.ErrUnsupported }

func (lines) keys(context.Context) ([]receipts.ChainKey, error) { return nil, errors.ErrUnsupported }

func (l lines) each(_ context.Context, _ int64, _ bool, fn func(line []byte) error) error {
	return receipts.EachLine(l, fn)
}

func (l lines) close() error { return l.Close() }

// opensOf judges addresses as a sidecar of this configuration would, but for its
// own ports and addresses, which are known only where it runs.
func opensOf(c *config.Config) rollout.Opens {
	return func(host string, a netip.Addr, holes []netip.Prefix) bool {
		guard := resolver.NewGuard(slices.Concat(holes, zoneHoles(c, host)), nil, nil).WithNAT64(c.Resolver.NAT64)
		return guard.Address(a).Allowed
	}
}

// zoneHoles are those of the longest suffix that the host is under, as the
// resolver has them.
func zoneHoles(c *config.Config, host string) (holes []netip.Prefix) {
	longest := ""
	for _, z := range c.Resolver.Zones {
		suffix := strings.ToLower(strings.TrimSuffix(z.Suffix, "."))
		if (host == suffix || strings.HasSuffix(host, "."+suffix)) && len(suffix) > len(longest) {
			longest, holes = suffix, z.Addresses.Allow
		}
	}
	return holes
}
