package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/bundle"
)

func newShowCommand() *cobra.Command {
	var (
		source sourceFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "show BUNDLE | RECORD | RECEIPT_ID [DATA]",
		Short: "Show a bundle, or one receipt, for people",
		Long: `Show what a bundle says of itself; or one record from a file of JSON, - for
standard input; or the receipt with an id, which denials show to the agent, from
DATA: ` + dataUsage + `.
Without DATA it is looked for in the sidecar's own records.

What is shown is not verified, but for a record's own hash and detail digest:
signet verify does that.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > 2 {
				return errors.New("show needs a BUNDLE, a RECORD, or a RECEIPT_ID and perhaps DATA")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s := &showing{cmd: cmd, json: asJSON}
			if uuid.Validate(args[0]) == nil {
				return s.receipt(&source, args)
			}
			if len(args) == 2 {
				return exit(exitUnusable, fmt.Errorf("%s is no receipt id; only those are looked for in DATA", printable(args[0])))
			}
			return s.path(args[0])
		},
	}
	source.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the manifest or the record as it is stored")
	return cmd
}

// showing is one run.
type showing struct {
	cmd  *cobra.Command
	json bool
}

// receipt finds the receipt with the id args[0].
func (s *showing) receipt(source *sourceFlags, args []string) (err error) {
	var records recordSource
	if len(args) == 2 {
		if records, err = openData(s.cmd, args[1]); err != nil {
			err = exit(exitUnusable, fmt.Errorf("%s: %w", printable(args[1]), err))
		}
	} else {
		records, err = source.open(s.cmd)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.close()) }()
	mark := []byte(`"receipt_id":"` + args[0] + `"`)
	var found []byte
	err = records.each(s.cmd.Context(), 1, false, func(line []byte) error {
		if !bytes.Contains(line, mark) {
			return nil
		}
		r, err := receipts.Decode(line)
		if err != nil {
			return fmt.Errorf("a record cannot be read (signet verify says more): %w", err)
		}
		if receipt, ok := r.(*receipts.Receipt); !ok || receipt.ReceiptID != args[0] {
			return nil // one whose facts came from it
		}
		found = bytes.Clone(line)
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if found == nil {
		return fmt.Errorf("no receipt has the id %s", args[0])
	}
	return s.record(found)
}

// path shows a bundle or a file that holds one record.
func (s *showing) path(path string) (err error) {
	in := s.cmd.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return exit(exitUnusable, fmt.Errorf("%s is no file and no receipt id", printable(path)))
		}
		if err != nil {
			return exit(exitUnusable, err)
		}
		defer func() { _ = f.Close() }() // only read
		if isBundle(f) {
			return s.bundle(path, f)
		}
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, receipts.MaxLine+2))
	if err != nil {
		return exit(exitUnusable, err)
	}
	line, more, _ := bytes.Cut(data, []byte("\n"))
	if len(bytes.TrimSpace(more)) > 0 {
		return exit(exitUnusable, fmt.Errorf("%s has more than one record: name the id of one, as in signet show RECEIPT_ID %s", printable(path), printable(path)))
	}
	return s.record(line)
}

func (s *showing) bundle(path string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return exit(exitUnusable, err)
	}
	b, err := bundle.Open(f, info.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", printable(path), err)
	}
	if s.json {
		_, err = fmt.Fprintf(s.cmd.OutOrStdout(), "%s\n", receipts.EncodeDocument(b.Manifest()))
		return err
	}
	return showManifest(s.cmd.OutOrStdout(), b.Manifest())
}

func (s *showing) record(line []byte) error {
	r, err := receipts.Decode(line)
	if err != nil {
		return fmt.Errorf("no record can be read: %w", err)
	}
	if s.json {
		_, err = fmt.Fprintf(s.cmd.OutOrStdout(), "%s\n", line)
		return err
	}
	return showRecord(s.cmd.OutOrStdout(), r)
}
