package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
)

// maxTrace bounds the receipts of one trace in one answer.
const maxTrace = 500

type receiptList struct {
	Receipts []json.RawMessage `json:"receipts"` // as they were signed
	Next     string            `json:"next,omitempty"`
}

func (a *API) listReceipts(w http.ResponseWriter, r *request) error {
	v := newQuery(r)
	q := store.ReceiptQuery{
		From: v.time("from"), To: v.time("to"), Host: v.text("host"), Agent: v.text("agent"),
		Outcome: receipts.Outcome(v.oneOf("outcome", "forwarded", "denied", "failed", "unknown")),
		Reason:  v.text("reason"), Trace: v.text("trace"), Chain: v.text("chain"),
		Limit: int(v.number("limit", 1, 500, 50)),
	}
	after := v.text("cursor")
	if err := v.end(); err != nil {
		return err
	}
	if after != "" {
		var err error
		if q.After, err = a.cursors.Open(r.tenant, &q, after); err != nil {
			return err
		}
	}
	page, err := a.Store.Receipts(r.Context(), r.tenant, q)
	if err != nil {
		return err
	}
	list := receiptList{Receipts: lines(page.Receipts)}
	if page.Next != nil {
		if list.Next, err = a.cursors.Seal(r.tenant, &q, page.Next); err != nil {
			return err
		}
	}
	return reply(w, list)
}

// lines are the records themselves: canonical JSON goes out as it is.
func lines(records []store.Record) []json.RawMessage {
	out := make([]json.RawMessage, len(records))
	for i := range records {
		out[i] = records[i].Line
	}
	return out
}

// placed is a receipt with what the collector knows of it.
type placed struct {
	Receipt  json.RawMessage `json:"receipt"`
	Received time.Time       `json:"received"`
	Logged   *logged         `json:"logged,omitempty"` // absent while it waits for the log
}

type logged struct {
	Index int64 `json:"index"`
}

func (a *API) receipt(w http.ResponseWriter, r *request) error {
	if err := newQuery(r).end(); err != nil {
		return err
	}
	rec, err := a.Store.Receipt(r.Context(), r.tenant, r.PathValue("id"))
	if err != nil {
		return a.removed(r.Context(), r.tenant, r.PathValue("id"), err)
	}
	answer := placed{Receipt: rec.Line, Received: rec.Received}
	index, err := a.Store.LeafIndex(r.Context(), r.tenant, rec.Chain, rec.Seq)
	switch {
	case err == nil:
		answer.Logged = &logged{index}
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	return reply(w, answer)
}

type traceOf struct {
	TraceID  string            `json:"trace_id"`
	Receipts []json.RawMessage `json:"receipts"` // the oldest first
	More     bool              `json:"more"`     // there are older ones than those here
}

func (a *API) trace(w http.ResponseWriter, r *request) error {
	if err := newQuery(r).end(); err != nil {
		return err
	}
	id := r.PathValue("id")
	page, err := a.Store.Receipts(r.Context(), r.tenant, store.ReceiptQuery{Trace: id, Limit: maxTrace})
	if err != nil {
		return err
	}
	if len(page.Receipts) == 0 {
		return notFound(store.ErrNotFound, "trace")
	}
	t := traceOf{TraceID: id, Receipts: lines(page.Receipts), More: page.Next != nil}
	slices.Reverse(t.Receipts)
	return reply(w, t)
}
