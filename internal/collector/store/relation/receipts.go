package relation

import (
	"cmp"
	"context"
	"errors"
	"math"

	"github.com/signet-egress/signet/internal/collector/store"
)

const recordColumns = `CAST(chain_id AS text) AS chain, seq, type, ts, received, receipt_hash, line, clean_stop,
	COALESCE(CAST(receipt_id AS text), ''), trace_id, hop, agent, host, outcome, reason, exchanges, vex, fu, bytes_up, bytes_down, internal`

func scanRecord(scan scan) (r store.Record, err error) {
	var digest []byte
	err = scan(&r.Chain, &r.Seq, &r.Type, timeOf(&r.TS), timeOf(&r.Received), &digest, &r.Line, &r.CleanStop,
		&r.ReceiptID, &r.TraceID, &r.Hop, &r.Agent, &r.Host, &r.Outcome, &r.Reason, &r.Count, &r.VEX, &r.FU, &r.BytesUp, &r.BytesDown, &r.Internal)
	r.Hash = hashOf(digest)
	return r, err
}

// Receipt implements store.Records.
func (s *Store) Receipt(ctx context.Context, tenant, receiptID string) (store.Record, error) {
	if !isUUID(receiptID) {
		return store.Record{}, store.ErrNotFound
	}
	return reading(ctx, s, tenant, "receipt "+receiptID, func(tx Tx) (store.Record, error) {
		return one(ctx, tx, scanRecord,
			`SELECT `+recordColumns+` FROM records WHERE tenant = $1 AND receipt_id = $2 LIMIT 1`, tenant, receiptID)
	})
}

// Record implements store.Records.
func (s *Store) Record(ctx context.Context, tenant, chain string, seq int64) (store.Record, error) {
	if !isUUID(chain) {
		return store.Record{}, store.ErrNotFound
	}
	return reading(ctx, s, tenant, "record of chain "+chain, func(tx Tx) (store.Record, error) {
		return one(ctx, tx, scanRecord,
			`SELECT `+recordColumns+` FROM records WHERE tenant = $1 AND chain_id = $2 AND seq = $3`, tenant, chain, seq)
	})
}

// Range implements store.Records. It reads from one run that was given up to the
// next, so that none of their records is read.
func (s *Store) Range(ctx context.Context, tenant, chain string, from int64, limit int) ([]store.Record, error) {
	if !isUUID(chain) {
		return nil, nil
	}
	limit = page(limit, 1000, 1000)
	return reading(ctx, s, tenant, "records of chain "+chain, func(tx Tx) (records []store.Record, err error) {
		for len(records) < limit {
			lost, err := nextGivenUp(ctx, tx, tenant, chain, from)
			if err != nil {
				return nil, err
			}
			if from < lost.First {
				some, err := list(ctx, tx, scanRecord, `SELECT `+recordColumns+` FROM records
					WHERE tenant = $1 AND chain_id = $2 AND seq >= $3 AND seq < $4 ORDER BY seq LIMIT $5`,
					tenant, chain, from, lost.First, limit-len(records))
				if err != nil {
					return nil, err
				}
				records = append(records, some...)
			}
			if lost.Last == math.MaxInt64 {
				break
			}
			from = lost.Last + 1
		}
		return records, nil
	})
}

// nextGivenUp is the first run of records that was given up and ends at a seq or
// behind it; one behind all seqs where there is none.
func nextGivenUp(ctx context.Context, tx Tx, tenant, chain string, seq int64) (store.Span, error) {
	lost, err := one(ctx, tx, func(scan scan) (span store.Span, err error) {
		err = scan(&span.First, &span.Last)
		return span, err
	}, `SELECT first_seq, last_seq FROM given_up WHERE tenant = $1 AND chain_id = $2 AND last_seq >= $3 ORDER BY first_seq LIMIT 1`, tenant, chain, seq)
	if errors.Is(err, store.ErrNotFound) {
		return store.Span{First: math.MaxInt64, Last: math.MaxInt64}, nil
	}
	return lost, err
}

// Spans implements store.Records. A chain's ts never decreases, so its records of
// a period are one run, whose ends are in the index of the chain; only what was given
// up may be of any time, and is passed over. Chains are taken in order of their ids,
// however long ago they ended: what is looked at of those is their row.
func (s *Store) Spans(ctx context.Context, tenant string, q store.SpanQuery) (store.SpanPage, error) {
	if q.Chain != "" && !isUUID(q.Chain) || q.After != "" && !isUUID(q.After) {
		return store.SpanPage{}, nil
	}
	limit := page(q.Limit, 100, 1000)
	var w where
	w.and(`tenant = `, tenant)
	ordered := ` ORDER BY c.chain_id`
	if q.Chain != "" {
		w.and(`chain_id = `, q.Chain)
		ordered = `` // of one there is no order, and to ask for it is to have it sorted
	}
	if q.After != "" {
		w.and(`chain_id > `, q.After)
	}
	looked := `(SELECT tenant, chain_id, first_ts, head_ts FROM chains WHERE ` + w.sql() + ` ORDER BY chain_id LIMIT ` + w.bind(limit) + `)`
	begin, end := w.bind(when(q.From)), w.bind(when(q.To))
	edge := func(order string) string {
		return `CASE WHEN c.first_ts < ` + end + ` AND c.head_ts >= ` + begin + ` THEN COALESCE((SELECT r.seq FROM records r
			WHERE r.tenant = c.tenant AND r.chain_id = c.chain_id AND r.ts >= ` + begin + ` AND r.ts < ` + end + `
			AND NOT EXISTS (SELECT 1 FROM given_up g WHERE g.tenant = r.tenant AND g.chain_id = r.chain_id AND g.first_seq <= r.seq AND g.last_seq >= r.seq)
			ORDER BY r.ts ` + order + `, r.seq ` + order + ` LIMIT 1), 0) ELSE 0 END`
	}
	return reading(ctx, s, tenant, "chains of a period", func(tx Tx) (store.SpanPage, error) {
		found, err := list(ctx, tx, func(scan scan) (span store.Span, err error) {
			err = scan(&span.Chain, &span.First, &span.Last)
			return span, err
		}, `SELECT CAST(c.chain_id AS text) AS chain, `+edge("ASC")+`, `+edge("DESC")+` FROM `+looked+` AS c`+ordered, w.args...)
		var p store.SpanPage
		if len(found) == limit {
			p.Next = found[limit-1].Chain
		}
		for _, span := range found {
			if span.First > 0 {
				p.Spans = append(p.Spans, span)
			}
		}
		return p, err
	})
}

const usualWindow = 5000

// Receipts implements store.Records. The most telling member of the query picks
// the index; the others are held against what that finds, within a window.
func (s *Store) Receipts(ctx context.Context, tenant string, q store.ReceiptQuery) (store.ReceiptPage, error) {
	limit, window := page(q.Limit, 50, 500), cmp.Or(s.Window, usualWindow)
	if q.Chain != "" && !isUUID(q.Chain) || q.After != nil && !isUUID(q.After.Chain) {
		return store.ReceiptPage{}, nil
	}
	var w where
	w.and(`tenant = `, tenant)
	w.text(` AND receipt_id IS NOT NULL`)
	rest := w.lead(q)
	if !q.From.IsZero() {
		w.and(`ts >= `, when(q.From))
	}
	if !q.To.IsZero() {
		w.and(`ts < `, when(q.To))
	}
	if c := q.After; c != nil {
		w.text(` AND (ts, chain_id, seq) < (` + w.bind(when(c.TS)) + `, ` + w.bind(c.Chain) + `, ` + w.bind(c.Seq) + `)`)
	}
	ordered := ` WHERE ` + w.sql() + ` ORDER BY ts DESC, chain_id DESC, seq DESC LIMIT `
	var sql string
	if len(rest) == 0 {
		sql = `SELECT ` + recordColumns + `, 1, 0 FROM records` + ordered + w.bind(limit+1)
	} else {
		sql = w.filtered(ordered, rest, limit, window)
	}
	return reading(ctx, s, tenant, "receipts", func(tx Tx) (store.ReceiptPage, error) {
		found, err := list(ctx, tx, scanMatch(window), sql, w.args...)
		return pageOf(found, limit), err
	})
}

// condition is a member of a query: a column and what it must be.
type condition struct{ column, value string }

// lead adds the condition that the index is picked by, and returns the others.
func (w *where) lead(q store.ReceiptQuery) (rest []condition) {
	conditions := []condition{
		{`trace_id`, q.Trace}, {`chain_id`, q.Chain}, {`reason`, q.Reason}, {`host`, q.Host}, {`agent`, q.Agent}, {`outcome`, string(q.Outcome)},
	}
	led := false
	for _, c := range conditions {
		switch {
		case c.value == "":
		case led, c.common():
			rest = append(rest, c)
		default:
			w.and(c.column+` = `, c.value)
			w.text(c.partial())
			led = true
		}
	}
	return rest
}

// common tells whether most receipts have the value, so that it has no index.
func (c condition) common() bool {
	return c.column == `reason` && c.value == `ok` || c.column == `outcome` && c.value == `forwarded`
}

// partial repeats the condition of a partial index, for the planner to see.
func (c condition) partial() string {
	switch c.column {
	case `reason`:
		return ` AND reason <> 'ok'`
	case `outcome`:
		return ` AND outcome <> 'forwarded'`
	}
	return ""
}

// filtered looks at a window of an index. Its last receipt is returned even where
// it does not match, since the next page goes on after it.
func (w *where) filtered(ordered string, rest []condition, limit, window int) string {
	var match where
	match.args = w.args
	for _, c := range rest {
		match.and(c.column+` = `, c.value)
	}
	windowed := `SELECT *, CASE WHEN ` + match.sql() + ` THEN 1 ELSE 0 END AS matches,
		ROW_NUMBER() OVER (ORDER BY ts DESC, chain_id DESC, seq DESC) AS place
		FROM (SELECT * FROM records` + ordered + match.bind(window) + `) AS looked_at`
	sql := `SELECT ` + recordColumns + `, matches, place FROM (` + windowed + `) AS judged
		WHERE matches = 1 OR place = ` + match.bind(window) + ` ORDER BY ts DESC, chain_id DESC, seq DESC LIMIT ` + match.bind(limit+1)
	w.args = match.args
	return sql
}

// match is a receipt that was looked at.
type match struct {
	store.Record
	matches bool
	last    bool // of the window
}

func scanMatch(window int) func(scan) (match, error) {
	return func(scan scan) (m match, err error) {
		var matches, place int64
		m.Record, err = scanRecord(func(dest ...any) error { return scan(append(dest, &matches, &place)...) })
		m.matches, m.last = matches == 1, place == int64(window)
		return m, err
	}
}

// pageOf cuts what was found down to a page. One more than the page was asked
// for, which tells whether there is a next one.
func pageOf(found []match, limit int) store.ReceiptPage {
	var p store.ReceiptPage
	for i := range found {
		if len(p.Receipts) == limit {
			p.Next = cursorAt(p.Receipts[limit-1])
			break
		}
		if found[i].matches {
			p.Receipts = append(p.Receipts, found[i].Record)
		}
		if found[i].last {
			p.Next = cursorAt(found[i].Record)
		}
	}
	return p
}

func cursorAt(r store.Record) *store.Cursor {
	return &store.Cursor{TS: r.TS, Chain: r.Chain, Seq: r.Seq}
}
