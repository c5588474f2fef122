package sqlite

import (
	"context"
	"fmt"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/relation"
)

const insertRecord = `INSERT INTO records (tenant, chain_id, seq, type, ts, received, receipt_hash, line, clean_stop,
	receipt_id, trace_id, hop, agent, host, outcome, reason, exchanges, vex, fu, bytes_up, bytes_down, internal)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
	ON CONFLICT DO NOTHING`

// Insert implements relation.DB.
func (*database) Insert(ctx context.Context, tx relation.Tx, tenant string, records []store.Record) (int64, error) {
	t, ok := tx.(transaction)
	if !ok {
		return 0, fmt.Errorf("a transaction of another store: %T", tx)
	}
	var inserted int64
	for i := range records {
		r := &records[i]
		hash, err := relation.Digest(r.Hash)
		if err != nil {
			return 0, err
		}
		var receiptID any
		if r.ReceiptID != "" {
			receiptID = r.ReceiptID
		}
		result, err := t.tx.ExecContext(ctx, insertRecord, tenant, r.Chain, r.Seq, string(r.Type), r.TS.UnixMilli(), r.Received.UnixMilli(),
			hash, r.Line, r.CleanStop, receiptID, r.TraceID, r.Hop, r.Agent, r.Host, string(r.Outcome), r.Reason,
			r.Count, r.VEX, r.FU, r.BytesUp, r.BytesDown, r.Internal)
		if err != nil {
			return 0, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		inserted += n
	}
	return inserted, nil
}
