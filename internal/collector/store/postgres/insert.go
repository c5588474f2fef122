package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/internal/collector/store/relation"
)

// insertRecords takes each column as an array: one statement for a batch, which
// COPY cannot be under row-level security.
const insertRecords = `INSERT INTO records (tenant, chain_id, seq, type, ts, received, receipt_hash, line, clean_stop,
	receipt_id, trace_id, hop, agent, host, outcome, reason, exchanges, vex, fu, bytes_up, bytes_down, internal)
	SELECT $1, * FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bytea[], $8::text[], $9::boolean[],
	$10::uuid[], $11::text[], $12::bigint[], $13::text[], $14::text[], $15::text[], $16::text[],
	$17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::text[])
	ON CONFLICT DO NOTHING`

// Insert implements relation.DB.
func (*database) Insert(ctx context.Context, tx relation.Tx, tenant string, records []store.Record) (int64, error) {
	var bad error
	hash := func(r *store.Record) []byte {
		digest, err := relation.Digest(r.Hash)
		if err != nil {
			bad = err
		}
		return digest
	}
	id := func(text string) (id pgtype.UUID) {
		if text == "" {
			return id
		}
		if err := id.Scan(text); err != nil {
			bad = fmt.Errorf("%.64q is no UUID: %w", text, err)
		}
		return id
	}
	args := []any{
		tenant,
		column(records, func(r *store.Record) pgtype.UUID { return id(r.Chain) }),
		column(records, func(r *store.Record) int64 { return r.Seq }),
		column(records, func(r *store.Record) string { return string(r.Type) }),
		column(records, func(r *store.Record) time.Time { return r.TS }),
		column(records, func(r *store.Record) time.Time { return r.Received.UTC().Truncate(time.Millisecond) }),
		column(records, hash),
		column(records, func(r *store.Record) string { return string(r.Line) }),
		column(records, func(r *store.Record) bool { return r.CleanStop }),
		column(records, func(r *store.Record) pgtype.UUID { return id(r.ReceiptID) }),
		column(records, func(r *store.Record) string { return r.TraceID }),
		column(records, func(r *store.Record) int64 { return r.Hop }),
		column(records, func(r *store.Record) string { return r.Agent }),
		column(records, func(r *store.Record) string { return r.Host }),
		column(records, func(r *store.Record) string { return string(r.Outcome) }),
		column(records, func(r *store.Record) string { return r.Reason }),
		column(records, func(r *store.Record) int64 { return r.Count }),
		column(records, func(r *store.Record) int64 { return r.VEX }),
		column(records, func(r *store.Record) int64 { return r.FU }),
		column(records, func(r *store.Record) int64 { return r.BytesUp }),
		column(records, func(r *store.Record) int64 { return r.BytesDown }),
		column(records, func(r *store.Record) string { return r.Internal }),
	}
	if bad != nil {
		return 0, bad
	}
	return tx.Exec(ctx, insertRecords, args...)
}

func column[T any](records []store.Record, of func(*store.Record) T) []T {
	all := make([]T, len(records))
	for i := range records {
		all[i] = of(&records[i])
	}
	return all
}
