package httpapi

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/signet-egress/signet/internal/collector/store"
)

// Export says what an audit bundle holds.
type Export struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Chain   string    `json:"chain,omitempty"`   // "": every chain of the period
	Agent   string    `json:"agent,omitempty"`   // other agents' receipts lose their detail
	Trace   string    `json:"trace,omitempty"`   // likewise
	Profile string    `json:"profile,omitempty"` // full | core; "" is full
}

// Check says what is wrong with an export that was asked for.
func (e *Export) Check() error {
	switch {
	case e.From.IsZero() || !e.From.Before(e.To):
		return badParameter("from", "from and to are times, from before to")
	case e.Profile != "" && e.Profile != "full" && e.Profile != "core":
		return badParameter("profile", "it is full or core")
	}
	return nil
}

const (
	maxExportRequest = 4 << 10
	spanPage         = 100
)

// export streams one bundle for a chain; without one, a zip file with a bundle
// for each chain that has records in the period.
func (a *API) export(w http.ResponseWriter, r *request) error {
	var e Export
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxExportRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return &Problem{Status: http.StatusBadRequest, Detail: "the body is a JSON object with from and to, and chain, agent, trace and profile where they apply", err: err}
	}
	if err := e.Check(); err != nil {
		return err
	}
	return WriteExport(r.Context(), w, a.Store, a.Exporter, r.tenant, e)
}

// Spans is what WriteExport asks of the store.
type Spans interface {
	Spans(ctx context.Context, tenant string, from, to time.Time, after string, limit int) ([]store.Span, error)
}

// WriteExport answers with what is asked for, for as long as its reader takes it.
// Nothing is sent before it is known that there is something.
func WriteExport(ctx context.Context, w http.ResponseWriter, s Spans, x Exporter, tenant string, e Export) error {
	first, err := spansOf(ctx, s, tenant, e, "")
	if err != nil {
		return err
	}
	if len(first) == 0 {
		return &Problem{Status: http.StatusNotFound, Detail: "this tenant has no record in that period"}
	}
	w = newPatient(w)
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	period := e.From.UTC().Format("20060102T150405Z") + "-" + e.To.UTC().Format("20060102T150405Z")
	if e.Chain != "" {
		h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="signet-%s-%s.zip"`, e.Chain, period))
		if err := x.Export(ctx, w, tenant, first[0], e); err != nil {
			return fmt.Errorf("export chain %s: %w", e.Chain, err)
		}
		return nil
	}
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="signet-bundles-%s.zip"`, period))
	return writeAll(ctx, w, first, s, x, tenant, e)
}

// writeAll stores a bundle for each chain: they are compressed already.
func writeAll(ctx context.Context, w io.Writer, spans []store.Span, s Spans, x Exporter, tenant string, e Export) error {
	z := zip.NewWriter(w)
	for len(spans) > 0 {
		for _, span := range spans {
			entry, err := z.CreateHeader(&zip.FileHeader{Name: span.Chain + ".zip", Method: zip.Store})
			if err != nil {
				return err
			}
			if err := x.Export(ctx, entry, tenant, span, e); err != nil {
				return fmt.Errorf("export chain %s: %w", span.Chain, err)
			}
		}
		if len(spans) < spanPage {
			break
		}
		var err error
		if spans, err = spansOf(ctx, s, tenant, e, spans[len(spans)-1].Chain); err != nil {
			return err
		}
	}
	return z.Close()
}

// spansOf is the next page of what the chains have in the period.
func spansOf(ctx context.Context, s Spans, tenant string, e Export, after string) ([]store.Span, error) {
	if e.Chain == "" {
		return s.Spans(ctx, tenant, e.From, e.To, after, spanPage)
	}
	// Chain ids are UUIDs, which have an order: the one before leads to it.
	before, err := previousUUID(e.Chain)
	if err != nil {
		return nil, badParameter("chain", "it is a chain id")
	}
	spans, err := s.Spans(ctx, tenant, e.From, e.To, before, 1)
	if err != nil || len(spans) == 0 || spans[0].Chain != e.Chain {
		return nil, err
	}
	return spans, nil
}

var errNoUUID = errors.New("not a UUID")
