package audit

import (
	"archive/zip"
	"context"
	"fmt"
	"io"

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
// *RequestError where it asks for what cannot be, merkle.ErrBehind where too much
// waits for the log.
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

func (e *Export) spans(ctx context.Context, after string) (store.SpanPage, error) {
	return e.exporter.Store.Spans(ctx, e.tenant, store.SpanQuery{
		From: e.request.From, To: e.request.To, Chain: e.request.Chain, After: after, Limit: spanPage,
	})
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
