package store

import (
	"context"
	"strings"
	"time"

	"github.com/signet-egress/signet/receipts"
)

// Records is the read side. No query reads more than its page, and every page
// has an index.
type Records interface {
	// Receipt is the one of this receipt_id, or ErrNotFound.
	Receipt(ctx context.Context, tenant, receiptID string) (Record, error)
	// Record is the one at a place of a chain, or ErrNotFound.
	Record(ctx context.Context, tenant, chain string, seq int64) (Record, error)
	// Receipts is a page of receipts, the newest first.
	Receipts(ctx context.Context, tenant string, q ReceiptQuery) (ReceiptPage, error)
	// Range is the records of a chain from a seq on, in order, limit at most (1,000
	// where it is more): what verifies, so without those that were given up.
	Range(ctx context.Context, tenant, chain string, from int64, limit int) ([]Record, error)
	// Spans are the runs of records of a period, one a chain, by chain id. What was
	// given up is at neither end of one.
	Spans(ctx context.Context, tenant string, q SpanQuery) (SpanPage, error)
}

// Record is a record as it is stored: the line, and what it is found by.
type Record struct {
	Chain    string
	Seq      int64
	Type     receipts.Type
	TS       time.Time
	Received time.Time
	Hash     string // receipt_hash
	Line     []byte // the canonical form, without a newline: what is evidence

	CleanStop bool // an event that says so

	// Of a receipt; zero for other records.
	ReceiptID string
	TraceID   string
	Hop       int64
	Agent     string // at most 255 bytes of it; likewise Host
	Host      string // "" where the request could not be parsed or the detail is withheld
	Outcome   receipts.Outcome
	Reason    string
	Count     int64
	VEX, FU   int64
	BytesUp   int64 // agent to upstream
	BytesDown int64
	Internal  string
}

// NewRecord is a verified record, as its line, ready to be stored.
func NewRecord(r receipts.Record, line []byte, received time.Time) Record {
	h := r.RecordHead()
	row := Record{
		Chain: h.Chain.ID, Seq: h.Chain.Seq, Type: r.RecordType(), TS: h.TS, Received: received,
		Hash: h.ReceiptHash, Line: line,
	}
	if event, ok := r.(*receipts.Event); ok {
		row.CleanStop = event.Event == receipts.EventStop
	}
	receipt, ok := r.(*receipts.Receipt)
	if !ok {
		return row
	}
	row.ReceiptID, row.TraceID, row.Hop = receipt.ReceiptID, receipt.TraceID, receipt.Hop
	row.Agent, row.Outcome, row.Reason = Findable(receipt.Agent), receipt.Outcome, receipt.Policy.Reason
	row.Count, row.VEX, row.FU, row.Internal = receipt.Count, receipt.Usage.VEX, receipt.Usage.FU, receipt.Internal
	if d := receipt.Detail; d != nil {
		row.readDetail(d)
	}
	return row
}

func (r *Record) readDetail(d *receipts.Detail) {
	if d.Request != nil {
		r.Host = Findable(d.Request.Host)
		r.BytesUp += deref(d.Request.Size)
	}
	if d.Forwarded != nil {
		r.BytesUp += deref(d.Forwarded.BytesUp)
		r.BytesDown += deref(d.Forwarded.BytesDown) + deref(d.Forwarded.ResponseSize)
	}
}

// Findable is what a text that an agent chose is found by: without NUL and what is
// no UTF-8, which a database may not take, and no longer than an index does. The
// line has it whole.
func Findable(s string) string {
	const most = 255 // a name in DNS has no more (RFC 1035 section 2.3.4)
	s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

func deref(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// ReceiptQuery selects receipts. Empty members select all.
type ReceiptQuery struct {
	From, To time.Time // ts in [From, To); zero: open
	Host     string
	Agent    string
	Outcome  receipts.Outcome
	Reason   string
	Trace    string
	Chain    string
	After    *Cursor // to go on after; nil: from the newest on
	Limit    int     // 0: 50; at most 500
}

// Cursor is a place in the order of receipts. It holds nothing that a tenant may
// not know, and one that was made up only selects another page of the tenant's.
type Cursor struct {
	TS    time.Time
	Chain string
	Seq   int64
}

// ReceiptPage is a page, and where the next one begins.
type ReceiptPage struct {
	Receipts []Record
	// Next is nil at the end. A page with Next may hold fewer receipts than its
	// limit, even none: where several members of the query are set, the store looks
	// at a bounded number of receipts for one page.
	Next *Cursor
}

// SpanQuery selects runs of records.
type SpanQuery struct {
	From, To time.Time // ts in [From, To)
	Chain    string    // "": all
	After    string    // chain id to go on after; "": from the first on
	Limit    int       // of chains that are looked at, 0: 100; at most 1,000
}

// SpanPage is a page, and where the next one begins.
type SpanPage struct {
	Spans []Span
	// Next is the chain id to go on after, and "" at the end. A page with Next may
	// hold fewer spans than its limit, even none.
	Next string
}

// Span is a run of a chain's records.
type Span struct {
	Chain       string
	First, Last int64 // seq
}
