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
	first    []store.Span // the first page
}

// spanPage is how many chains are looked up at once.
const spanPage = 100

// Find finds what there is of a request: store.ErrNotFound where there is nothing,
// a *RequestError where it asks for what cannot be.
func (x *Exporter) Find(ctx context.Context, tenant string, r Request) (*Export, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	e := &Export{exporter: x, tenant: tenant, request: r}
	var err error
	if e.first, err = e.spans(ctx, ""); err != nil {
		return nil, err
	}
	if len(e.first) == 0 {
		return nil, fmt.Errorf("find what to export: %w", store.ErrNotFound)
	}
	return e, nil
}

func (e *Export) spans(ctx context.Context, after string) ([]store.Span, error) {
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
		return e.writeBundle(ctx, w, e.first[0])
	}
	z := zip.NewWriter(w)
	for spans := e.first; len(spans) > 0; {
		for _, span := range spans {
			// A bundle is compressed already.
			entry, err := z.CreateHeader(&zip.FileHeader{Name: span.Chain + ".zip", Method: zip.Store})
			if err != nil {
				return err
			}
			if err := e.writeBundle(ctx, entry, span); err != nil {
				return err
			}
		}
		var err error
		if spans, err = e.spans(ctx, spans[len(spans)-1].Chain); err != nil {
			return err
		}
	}
	return z.Close()
}
