package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/receipts"
)

func newKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "List, publish and rotate the keys that sign a chain", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return exit(exitUnusable, errors.New("keys needs a command: list, export or rotate"))
		},
	}
	cmd.AddCommand(newKeysListCommand(), newKeysExportCommand(), newKeysRotateCommand())
	return cmd
}

func newKeysListCommand() *cobra.Command {
	var (
		source sourceFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys of a sidecar's chain, and what each may sign",
		Long: `List the keys of a sidecar's chain, retired ones too, with the records that each
may sign, by sequence and by time. A stopped sidecar's journal is read directly,
a running one is asked through its admin socket.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := source.keys(cmd)
			if err != nil {
				return err
			}
			return writeKeys(cmd.OutOrStdout(), keys, asJSON)
		},
	}
	source.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one object a key")
	return cmd
}

func newKeysExportCommand() *cobra.Command {
	var source sourceFlags
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the keys of a sidecar's chain as a JWKS, for signet verify --jwks",
		Long: `Write the keys of a sidecar's chain, retired ones too, as a JSON Web Key Set
(RFC 7517) that says what each key may sign. Hand it to whoever verifies, on a way
other than the records'. The sets of several sidecars are put together by joining
their keys.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := source.keys(cmd)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", receipts.JWKS(keys...))
			return err
		},
	}
	source.register(cmd)
	return cmd
}

// keys reads the keys of the chain.
func (f *sourceFlags) keys(cmd *cobra.Command) (keys []receipts.ChainKey, err error) {
	records, err := f.open(cmd)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, records.close()) }()
	return records.keys(cmd.Context())
}

// keyAnswer is a key as JSON.
type keyAnswer struct {
	KID       string `json:"kid"`
	PublicKey string `json:"public_key"`
	Chain     string `json:"chain"`
	FromSeq   int64  `json:"from_seq"`
	From      string `json:"from"`
	ToSeq     int64  `json:"to_seq,omitempty"`
	To        string `json:"to,omitempty"`
	Signs     bool   `json:"signs"` // it signs the next record
}

func answerOf(k *receipts.ChainKey) keyAnswer {
	a := keyAnswer{
		KID: k.KID, PublicKey: receipts.EncodeKey(k.PublicKey), Chain: k.Chain, FromSeq: k.FromSeq, From: stamp(k.From), ToSeq: k.ToSeq, Signs: k.ToSeq == 0,
	}
	if !a.Signs {
		a.To = stamp(k.To)
	}
	return a
}

func writeKeys(w io.Writer, keys []receipts.ChainKey, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(w)
		for i := range keys {
			if err := out.Encode(answerOf(&keys[i])); err != nil {
				return err
			}
		}
		return nil
	}
	const row = "%-43s  %10s  %-24s  %10s  %s\n"
	s := fmt.Sprintf(row, "KID", "FROM SEQ", "FROM", "TO SEQ", "TO")
	for i := range keys {
		k := answerOf(&keys[i])
		toSeq, to := absent, "signs"
		if !k.Signs {
			toSeq, to = strconv.FormatInt(k.ToSeq, 10), k.To
		}
		s += fmt.Sprintf(row, k.KID, strconv.FormatInt(k.FromSeq, 10), k.From, toSeq, to)
	}
	_, err := io.WriteString(w, s)
	return err
}
