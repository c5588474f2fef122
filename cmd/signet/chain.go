package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/journal"
)

// readChain verifies the whole chain in a stopped sidecar's data directory and
// calls fn with each record, good ones only. The key is taken on trust from the
// genesis.
func readChain(ctx context.Context, dir string, fn func(receipts.Record)) (result receipts.Result, err error) {
	reader, err := journal.OpenReader(dir)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	v := receipts.NewVerifier(nil)
	err = reader.Range(ctx, 1, func(_ int64, line []byte) error {
		if err := v.Add(line); err != nil {
			return err
		}
		r, err := receipts.Decode(line)
		if err != nil {
			return err
		}
		fn(r)
		return nil
	})
	if err != nil {
		return result, err
	}
	return v.Result()
}

// verifiedLine is the answer of signet verify, in one line.
func verifiedLine(r *receipts.Result) string {
	return fmt.Sprintf("verified: %d receipts, chain %s, seq %d-%d, head %s", r.Receipts, r.ChainID, r.First, r.Last, r.Head)
}
