package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// removal is the account of what was removed of a tenant's records by one rule.
type removal struct {
	Before  time.Time `json:"before"`
	Months  int       `json:"retention_months"`
	Records int64     `json:"records"`
	Bytes   int64     `json:"bytes"`
	First   time.Time `json:"first_ts"`
	Last    time.Time `json:"last_ts"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
}

// removals says for how long records are kept, and what was removed since.
func (a *API) removals(w http.ResponseWriter, r *request) error {
	if err := newQuery(r).end(); err != nil {
		return err
	}
	kept, err := a.Store.Retention(r.Context(), r.tenant)
	if err != nil {
		return err
	}
	found, err := a.Store.Removals(r.Context(), r.tenant)
	if err != nil {
		return err
	}
	answer := struct {
		Months   int        `json:"retention_months,omitempty"` // absent: they are kept for ever
		Before   *time.Time `json:"before,omitempty"`           // absent: none was removed
		Removals []removal  `json:"removals"`
	}{Months: kept.Months, Before: optional(kept.Before), Removals: make([]removal, len(found))}
	for i := range found {
		answer.Removals[i] = removal(found[i])
	}
	return reply(w, answer)
}

// removed is store.ErrNotFound of a receipt as an answer: where it may have been
// removed, that says so. Every other error stays.
func (a *API) removed(ctx context.Context, tenant, receiptID string, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	kept, failed := a.Store.Retention(ctx, tenant)
	if failed != nil {
		return failed
	}
	if !kept.Lacks(receiptID) {
		return notFound(err, "receipt")
	}
	return &Problem{
		Status: http.StatusGone, err: err,
		Detail: fmt.Sprintf("records from before %s were removed, since they were kept for long enough, and with them this receipt, if there was one; the log still has its place, by chain and seq", kept.Before.Format(time.RFC3339)),
	}
}
