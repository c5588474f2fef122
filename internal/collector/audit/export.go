package audit

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Export is what there is of a request.
type Export struct {
	exporter *Exporter
	tenant   string
	request  Request
	first    store.SpanPage // the first page that is not empty
}

// spanPage is how many chains are looked at at once.
const spanPage = 1000

// Find finds what there is of a request, and has the log take it in, so that each
// bundle carries its proof: store.ErrNotFound where there is nothing, a
// *RequestError where it asks for what cannot be, a *RemovedError where records of
// the period are gone, merkle.ErrBehind where too much waits for the log.
func (x *Exporter) Find(ctx context.Context, tenant string, r Request) (*Export, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	e := &Export{exporter: x, tenant: tenant, request: r}
	for after := ""; ; after = e.first.Next {
		var err error
		if e.first, err = e.spans(ctx, after); err != nil {
			return nil, err
		}
		if len(e.first.Spans) > 0 {
			return e, e.await(ctx)
		}
		if e.first.Next == "" {
			return nil, fmt.Errorf("find what to export: %w", store.ErrNotFound)
		}
	}
}

// await has the log take in the last record of each span of the first page.
func (e *Export) await(ctx context.Context) error {
	for _, span := range e.first.Spans {
		if err := e.exporter.Sequencer.Await(ctx, e.tenant, span.Chain, span.Last); err != nil {
			return fmt.Errorf("export chain %s: %w", span.Chain, err)
		}
	}
	return nil
}

// spans is a page of the runs of records that there are. What was removed before
// they were looked up is looked at after that, so that none is short unnoticed.
func (e *Export) spans(ctx context.Context, after string) (store.SpanPage, error) {
	page, err := e.exporter.Store.Spans(ctx, e.tenant, store.SpanQuery{
		From: e.request.From, To: e.request.To, Chain: e.request.Chain, After: after, Limit: spanPage,
	})
	if err != nil {
		return store.SpanPage{}, err
	}
	return page, e.whole(ctx)
}

// whole tells whether no record of the period was removed: a *RemovedError where one
// was, or may have been.
func (e *Export) whole(ctx context.Context) error {
	removals, err := e.exporter.Store.Removals(ctx, e.tenant)
	if err != nil {
		return err
	}
	gone := new(RemovedError)
	for i := range removals {
		if r := &removals[i]; r.First.Before(e.request.To) && !r.Last.Before(e.request.From) {
			gone.Before = later(gone.Before, r.Before)
		}
	}
	if gone.Before.IsZero() {
		return nil
	}
	if e.request.Chain != "" {
		chain, err := e.exporter.Store.Chain(ctx, e.tenant, e.request.Chain)
		if err != nil || chain.PrunedTS.Before(e.request.From) {
			return err
		}
	}
	return gone
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Name is that of the file.
func (e *Export) Name() string {
	const layout = "20060102T150405Z"
	what := "bundles"
	if e.request.Chain != "" {
		what = e.request.Chain
	}
	return fmt.Sprintf("signet-%s-%s-%s.zip", what, e.request.From.UTC().Format(layout), e.request.To.UTC().Format(layout))
}

// Write writes the bundle of the one chain that was asked for; else a zip file
// with a bundle for each chain that has records in the period.
func (e *Export) Write(ctx context.Context, w io.Writer) error {
	if e.request.Chain != "" {
		return e.writeBundle(ctx, w, e.first.Spans[0])
	}
	z := zip.NewWriter(w)
	for page := e.first; ; {
		for _, span := range page.Spans {
			// A bundle is compressed already.
			entry, err := z.CreateHeader(&zip.FileHeader{Name: span.Chain + ".zip", Method: zip.Store})
			if err != nil {
				return err
			}
			if err := e.writeBundle(ctx, entry, span); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return z.Close()
		}
		var err error
		if page, err = e.spans(ctx, page.Next); err != nil {
			return err
		}
	}
}
