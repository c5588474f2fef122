package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/internal/config"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

func newKeysRotateCommand() *cobra.Command {
	var (
		source sourceFlags
		to     string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Have another key sign a sidecar's chain from now on",
		Long: `Make a new signing key, put it on record in the chain with an event that both keys
sign, and give it the old one's place. A crash in the middle loses nothing: the
next start finds which key the chain goes on with. The old key signs nothing any
more; what it has signed still verifies.

A running sidecar does it through its admin socket, without a pause. A stopped
one's journal is opened, and what a crash has left open is put on record first.

Where a secret store hands out the key, put the new one there under another name
and give its file with --to; then set key to that file before the next start.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to != "" {
				var err error
				if to, err = filepath.Abs(to); err != nil { // the sidecar runs elsewhere
					return exit(exitUnusable, err)
				}
			}
			c, named, err := source.load(cmd)
			if err != nil {
				return err
			}
			change, err := rotateKey(cmd.Context(), c, named, to)
			if err != nil {
				return err
			}
			return writeKeyChange(cmd.OutOrStdout(), change, to, asJSON)
		},
	}
	source.register(cmd)
	cmd.Flags().StringVar(&to, "to", "", "file of the new key, Ed25519 in PKCS#8 PEM, instead of one that is made")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the key change, as it stands in the chain")
	return cmd
}

// rotateKey changes the key of a stopped sidecar's journal, or has a running one
// do it.
func rotateKey(ctx context.Context, c *config.Config, named bool, file string) (*receipts.Event, error) {
	change, err := rotateStopped(ctx, c, file)
	var locked *journal.LockedError
	if err == nil || !errors.As(err, &locked) && !named {
		return change, err
	}
	r, err := dialRunning(c, named, err)
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	if file != "" {
		query.Set("key_file", file)
	}
	err = r.ask(ctx, http.MethodPost, "/v1/keys/rotate", query, func(body io.Reader) error {
		line, err := io.ReadAll(io.LimitReader(body, receipts.MaxLine))
		if err != nil {
			return fmt.Errorf("reading the sidecar's answer: %w", err)
		}
		record, err := receipts.Decode(line)
		if err != nil {
			return fmt.Errorf("reading the sidecar's answer: %w", err)
		}
		event, ok := record.(*receipts.Event)
		if !ok || event.Key == nil {
			return fmt.Errorf("reading the sidecar's answer: seq %d is no key change", record.RecordHead().Chain.Seq)
		}
		change = event
		return nil
	})
	return change, errors.Join(err, r.close())
}

func rotateStopped(ctx context.Context, c *config.Config, file string) (change *receipts.Event, err error) {
	key, err := journal.OpenKey(c.Data, c.Key)
	if err != nil {
		return nil, exit(exitUnusable, err)
	}
	j, err := journal.Open(ctx, journal.Options{Dir: c.Data, Key: key.Key, Next: key.Next, Command: true})
	if err != nil {
		return nil, exit(exitUnusable, err)
	}
	defer func() { err = errors.Join(err, j.Close(ctx)) }()
	if err := key.Settle(j.KeyID()); err != nil {
		return nil, err
	}
	return key.Rotate(j, file)
}

func writeKeyChange(w io.Writer, change *receipts.Event, file string, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(w, "%s\n", receipts.Append(nil, change))
		return err
	}
	s := fmt.Sprintf("rotated: from seq %d on, key %s signs chain %s\nretired: %s, since seq %d, %s\n",
		change.Chain.Seq+1, change.Key.KID, change.Chain.ID, change.KID, change.Chain.Seq, stamp(change.TS))
	if file != "" {
		s += fmt.Sprintf("set key to %s before the next start: the key that is configured now does not continue the chain\n", file)
	}
	_, err := io.WriteString(w, s)
	return err
}
