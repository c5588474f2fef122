package web

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signet-egress/signet/internal/collector/merkle"
	"github.com/signet-egress/signet/internal/collector/store"
	"github.com/signet-egress/signet/receipts"
	"github.com/signet-egress/signet/receipts/logproof"
)

type receiptsPage struct {
	Filter   filter
	Outcomes []string
	Receipts []store.Record
	Next     string // the next page; "" on the last
	Kept     store.Retention
}

// filter is the form as it was sent.
type filter struct {
	From, To, Host, Agent, Outcome, Reason, Trace, Chain string
}

func (w *Web) receipts(rw http.ResponseWriter, v *visit) error {
	in := v.URL.Query()
	f := filter{
		From: in.Get("from"), To: in.Get("to"), Host: strings.TrimSpace(in.Get("host")), Agent: in.Get("agent"),
		Outcome: in.Get("outcome"), Reason: in.Get("reason"), Trace: in.Get("trace"), Chain: in.Get("chain"),
	}
	q, err := f.query()
	if err != nil {
		return err
	}
	if cursor := in.Get("cursor"); cursor != "" {
		if q.After, err = w.cursors.Open(v.tenant, &q, cursor); err != nil {
			return err
		}
	}
	page, err := w.Store.Receipts(v.Context(), v.tenant, q)
	if err != nil {
		return err
	}
	p := receiptsPage{Filter: f, Outcomes: plotted, Receipts: page.Receipts}
	if p.Kept, err = w.Store.Retention(v.Context(), v.tenant); err != nil {
		return err
	}
	if page.Next != nil {
		cursor, err := w.cursors.Seal(v.tenant, &q, page.Next)
		if err != nil {
			return err
		}
		in.Set("cursor", cursor)
		p.Next = "/receipts?" + in.Encode()
	}
	return w.show(rw, v, "receipts", "Receipts", p)
}

func (f *filter) query() (store.ReceiptQuery, error) {
	q := store.ReceiptQuery{
		Host: f.Host, Agent: f.Agent, Outcome: receipts.Outcome(f.Outcome), Reason: f.Reason, Trace: f.Trace, Chain: f.Chain, Limit: 50,
	}
	var err error
	if q.From, err = formTime("From", f.From); err != nil {
		return q, err
	}
	q.To, err = formTime("To", f.To)
	return q, err
}

// formTime reads what <input type="datetime-local"> sends, in UTC.
func formTime(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, &failure{http.StatusBadRequest, name + " is a time such as 2006-01-02T15:04, in UTC."}
}

type receiptPage struct {
	Record  store.Record
	Receipt *receipts.Receipt
	JSON    string        // indented, for people
	Before  int64         // seq; 0 for none
	After   int64         // seq; 0 for none
	Proof   *merkle.Proof // nil while it waits for the log
	Tree    tree          // of the proof
	Root    string        // of the checkpoint that the proof leads to
}

func (w *Web) receipt(rw http.ResponseWriter, v *visit) error {
	rec, err := w.Store.Receipt(v.Context(), v.tenant, v.PathValue("id"))
	if err != nil {
		return w.removed(v, err)
	}
	decoded, err := receipts.Decode(rec.Line)
	if err != nil {
		return fmt.Errorf("decode receipt %s: %w", rec.ReceiptID, err)
	}
	p := receiptPage{Record: rec, Before: rec.Seq - 1, JSON: indented(rec.Line)}
	p.Receipt, _ = decoded.(*receipts.Receipt)
	chain, err := w.Store.Chain(v.Context(), v.tenant, rec.Chain)
	if err != nil {
		return err
	}
	if chain.Head.Seq > rec.Seq {
		p.After = rec.Seq + 1
	}
	if p.Before == chain.Pruned {
		p.Before = 0
	}
	if p.Proof, err = w.Prover.Inclusion(v.Context(), v.tenant, rec.Chain, rec.Seq); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if p.Proof != nil {
		if p.Root, err = w.check(v.tenant, p.Proof, rec.Hash); err != nil {
			return fmt.Errorf("the log does not prove receipt %s: %w", rec.ReceiptID, err)
		}
		if p.Tree, _, err = drawTree(p.Proof, rec.Hash); err != nil {
			return fmt.Errorf("draw the proof of receipt %s: %w", rec.ReceiptID, err)
		}
	}
	return w.show(rw, v, "receipt", "Receipt", p)
}

// removed is store.ErrNotFound of a visit's receipt, which may have been removed.
func (w *Web) removed(v *visit, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	kept, failed := w.Store.Retention(v.Context(), v.tenant)
	if failed != nil {
		return failed
	}
	if !kept.Lacks(v.PathValue("id")) {
		return err
	}
	return &failure{http.StatusGone, "Records from before " + when(kept.Before) + " were removed, since they were kept for long enough, and with them this receipt, if there was one."}
}

// check verifies a proof as an auditor would: nothing is shown as proved that
// was not.
func (w *Web) check(tenant string, p *merkle.Proof, leaf string) (root string, err error) {
	key, err := w.LogKey(tenant)
	if err != nil {
		return "", err
	}
	tree, err := logproof.OpenCheckpoint([]byte(p.Checkpoint), key)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(tree.Hash[:]), logproof.Included(tree, p.Index, p.Hashes, leaf)
}

func indented(line []byte) string {
	var b bytes.Buffer
	if err := json.Indent(&b, line, "", "  "); err != nil {
		return string(line)
	}
	return b.String()
}

type tracePage struct {
	ID       string
	Receipts []store.Record // the oldest first
	More     bool
}

func (w *Web) trace(rw http.ResponseWriter, v *visit) error {
	id := v.PathValue("id")
	page, err := w.Store.Receipts(v.Context(), v.tenant, store.ReceiptQuery{Trace: id, Limit: 500})
	if err != nil {
		return err
	}
	if len(page.Receipts) == 0 {
		return store.ErrNotFound
	}
	slices.Reverse(page.Receipts)
	return w.show(rw, v, "trace", "Trace", tracePage{ID: id, Receipts: page.Receipts, More: page.Next != nil})
}
